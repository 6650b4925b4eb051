"""Bounces that come by mail, on real hosts: Postfix keeps them until the ledger has them, and they count once."""

from __future__ import annotations

import json
import smtplib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smtpctl.lab import Lab
from tests.lab.support import AppliedFleet, until

pytestmark = pytest.mark.lab

QUEUE = ["postqueue", "-c", "/etc/postfix-feedback"]


BOUNCE = """\
Message-ID: {identity}
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.gmail.test

Final-Recipient: rfc822; gone@gmail.test
Action: failed
Status: 5.1.1
--b--
""".replace("\n", "\r\n")


def deliver(applied: AppliedFleet, content: str) -> None:
    """Hand a mail to the MX, as another server would."""
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=30) as session:
        session.sendmail("", "bounce+orders@bounce.shop.test", content)


def rows(lab: Lab, query: str) -> list[str]:
    """What the ledger's owner sees."""
    psql = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "-At", "-d", "smtpctl", "-c", query]
    return lab.run("control1", psql).stdout.split("\n")[:-1]


def queue(lab: Lab) -> list[str]:
    """Why each message waits in the feedback instance's queue."""
    waiting = [json.loads(line) for line in lab.run("feedback1", [*QUEUE, "-j"]).stdout.splitlines()]
    return [recipient.get("delay_reason", "") for message in waiting for recipient in message["recipients"]]


@contextmanager
def ledger_away(lab: Lab) -> Iterator[None]:
    lab.run("control1", ["systemctl", "stop", "postgresql@17-main.service"])
    try:
        yield
    finally:
        lab.run("control1", ["systemctl", "start", "postgresql@17-main.service"])


def test_a_refusal_after_acceptance_comes_back_as_a_bounce_of_the_message(applied: AppliedFleet) -> None:
    journey = applied.journey(applied.send(f"later+{uuid.uuid4().hex[:8]}@gmail.test"), "bounced")
    (bounce,) = journey["bounces"]
    assert (bounce["action"], bounce["status"]) == ("failed", "5.2.1")
    assert (bounce["hardness"], bounce["category"]) == ("soft", "inactive")


def test_with_the_ledger_away_a_bounce_waits_in_the_queue_and_is_counted_once(applied: AppliedFleet) -> None:
    identity = f"<{uuid.uuid4().hex}@mx.gmail.test>"
    counted = f"SELECT count(*), min(hardness) FROM ledger.bounces WHERE report_message_id = '{identity}'"
    with ledger_away(applied.lab):
        deliver(applied, BOUNCE.format(identity=identity))
        until(lambda: any("451 4.3.0" in reason for reason in queue(applied.lab)), "the bounce is deferred")
    applied.lab.run("feedback1", [*QUEUE, "-f"])
    until(lambda: not queue(applied.lab), "the queue is empty")
    assert rows(applied.lab, counted) == ["1|hard"]
    deliver(applied, BOUNCE.format(identity=identity))
    deliver(applied, f"Message-ID: <last-{identity[1:]}\r\n\r\nA letter behind the repeated bounce.\r\n")
    behind = f"SELECT count(*) FROM ledger.unclassified_mails WHERE report_message_id = '<last-{identity[1:]}'"
    until(
        lambda: rows(applied.lab, behind) == ["1"] and not queue(applied.lab), "the letter behind it is in the ledger"
    )
    assert rows(applied.lab, counted) == ["1|hard"]


def test_a_letter_to_a_bounce_address_is_kept_and_names_nobody(applied: AppliedFleet) -> None:
    mark = uuid.uuid4().hex
    deliver(applied, f"Subject: {mark}\r\n\r\nHello.\r\n")
    query = (
        "SELECT kind, envelope_to FROM ledger.unclassified_mails"
        f" WHERE position('{mark}' IN convert_from(content, 'UTF8')) > 0"
    )
    until(lambda: rows(applied.lab, query) == ["other|bounce+orders@bounce.shop.test"], "the letter is in the ledger")


@pytest.mark.parametrize(
    "recipient", ["orders@bounce.shop.test", "bounce+orders@shop.test", "ada@gmail.test", "complaints@bounce.shop.test"]
)
def test_the_mx_takes_mail_for_its_own_addresses_only(applied: AppliedFleet, recipient: str) -> None:
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=30) as session:
        session.ehlo()
        session.mail("ada@gmail.test")
        code, _ = session.rcpt(recipient)
    assert 500 <= code < 600
