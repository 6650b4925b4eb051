"""Promise 7: nobody gets in. Every way to send what one may not is tried and refused."""

from __future__ import annotations

import dataclasses
import smtplib
import socket
import uuid
from email.message import EmailMessage

import pytest

from smtpctl.lab.application import connect
from tests.lab.support import AppliedFleet

pytestmark = pytest.mark.lab

SUBMISSION_PORTS = (10587, 10465, 10588, 10589)


def refused_text(applied: AppliedFleet, sender: str, lines: bytes, *, credential: str = "shop") -> tuple[int, str]:
    """Reply to a message of raw ``lines`` from ``sender``; fails when it was accepted."""
    with connect(applied.place(credential)) as session:
        try:
            session.sendmail(sender, [f"ada+{uuid.uuid4().hex}@gmail.test"], lines)
        except smtplib.SMTPRecipientsRefused as refusal:
            code, text = next(iter(refusal.recipients.values()))
            return code, text.decode()
        except smtplib.SMTPResponseException as refusal:
            words = refusal.smtp_error
            return refusal.smtp_code, words.decode() if isinstance(words, bytes) else words
    pytest.fail("the message was accepted")


def raw(*header: str) -> bytes:
    return "\r\n".join([*header, "Subject: A test", "To: ada@gmail.test", "", "text", ""]).encode()


def test_without_tls_nothing_is_offered(applied: AppliedFleet) -> None:
    place = applied.place()
    with smtplib.SMTP(place.address, place.port, timeout=20) as session:
        session.ehlo()
        assert not session.has_extn("auth")
        assert session.docmd("MAIL FROM:<orders@shop.test>")[0] == 530


def test_without_signing_in_no_recipient_is_accepted(applied: AppliedFleet) -> None:
    with connect(applied.place(), sign_in=False) as session:
        session.mail("orders@shop.test")
        code, _ = session.rcpt("ada@gmail.test")
    assert code == 554


def test_a_wrong_password_is_refused(applied: AppliedFleet) -> None:
    wrong = dataclasses.replace(applied.place(), password="not-the-password")
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        connect(wrong)
    assert caught.value.smtp_code == 535


@pytest.mark.parametrize("sender", ["ceo@news.test", "orders@gmail.test", "orders@notshop.test", ""])
def test_a_sender_of_somebody_else_is_refused(applied: AppliedFleet, sender: str) -> None:
    code, text = refused_text(applied, sender, raw("From: orders@shop.test"))
    assert code == 554, text


@pytest.mark.parametrize(
    "header",
    [
        ["From: ceo@news.test"],
        ["From: orders@shop.test, ceo@news.test"],
        ["From: orders@shop.test", "From: ceo@news.test"],
        ["From: orders@shop.test", "From: orders@shop.test"],
        ["From: =?utf-8?q?orders=40shop=2Etest?= <ceo@news.test>"],
        ['From: "orders@shop.test" <ceo@news.test>'],
        ["From: ceo@news.test (orders@shop.test)"],
        ["From: orders@shop.test\r\n , ceo@news.test"],
        ["From: Group: ceo@news.test;"],
        ["From : ceo@news.test"],
        ["from:ceo@news.test"],
        ["From: orders@shop.test@news.test"],
        ["From: <@shop.test:ceo@news.test>"],
    ],
)
def test_a_from_of_somebody_else_is_refused(applied: AppliedFleet, header: list[str]) -> None:
    code, text = refused_text(applied, "orders@shop.test", raw(*header))
    assert code in (550, 554), text


def test_a_message_without_from_gets_its_own_sender_and_no_other(applied: AppliedFleet) -> None:
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    with connect(applied.place()) as session:
        try:
            session.sendmail("orders@shop.test", [recipient], raw("Date: Sun, 22 Nov 2026 00:00:00 +0000"))
        except smtplib.SMTPResponseException as refusal:
            assert refusal.smtp_code == 550
            return
    (message,) = applied.lab.mail("gmail.test", to=recipient, wait=150)
    assert "shop.test" in str(message["From"])


@pytest.mark.parametrize("port", SUBMISSION_PORTS)
@pytest.mark.parametrize("edge", ["edge1", "edge2"])
def test_submission_past_the_balancer_is_closed(applied: AppliedFleet, edge: str, port: int) -> None:
    assert not reachable(applied, "inet", applied.fleet.hosts[edge].address, port)
    assert not reachable(applied, "ctl", applied.fleet.hosts[edge].address, port)


@pytest.mark.parametrize("relay", ["relay1", "relay2"])
@pytest.mark.parametrize("pool", ["transactional", "marketing"])
def test_a_pool_takes_nothing_from_anyone_but_submission(applied: AppliedFleet, relay: str, pool: str) -> None:
    address, port = applied.fleet.hosts[relay].address, applied.fleet.pools[pool].port
    assert not reachable(applied, "inet", address, port)
    assert not reachable(applied, "ctl", address, port)
    assert not reachable(applied, "feedback1", address, port)
    assert not reachable(applied, "inet", address, 25)


def test_the_mx_relays_nothing(applied: AppliedFleet) -> None:
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=20) as session:
        session.ehlo()
        session.mail("orders@shop.test")
        code, text = session.rcpt("ada@gmail.test")
        assert code == 554, text
        session.rset()
        session.mail("ada@gmail.test")
        code, text = session.rcpt("no-such-person@shop.test")
        assert code == 550, text


@pytest.mark.parametrize("port", [22, 5432, 9090, 9100])
def test_the_world_reaches_no_management_port(applied: AppliedFleet, port: int) -> None:
    for host in applied.fleet.hosts.values():
        assert not reachable(applied, "inet", host.address, port)


def reachable(applied: AppliedFleet, start: str, address: str, port: int) -> bool:
    """Whether a TCP connection from ``start`` opens. A firewall that drops lets it wait: one second is enough here."""
    if start == "ctl":
        try:
            socket.create_connection((address, port), 1).close()
        except OSError:
            return False
        return True
    command = ["timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    return applied.lab.run(start, command, check=False).returncode == 0


def test_the_reachability_check_itself_works(applied: AppliedFleet) -> None:
    assert reachable(applied, "inet", applied.fleet.hosts["edge1"].address, 587)
    assert reachable(applied, "ctl", applied.fleet.hosts["edge1"].address, 22)


def test_a_message_of_a_credential_never_leaves_by_the_pool_of_another_stream(applied: AppliedFleet) -> None:
    message = EmailMessage()
    message["From"] = "hello@news.test"
    assert refused_text(applied, "hello@news.test", message.as_bytes())[0] == 554
