"""Mail through the whole fleet: application, balancer, submission, relay, provider, ledger."""

from __future__ import annotations

import smtplib
import uuid

import pytest

from smtpctl.lab.application import connect, read_mailbox
from smtpctl.lab.internet.mailboxes import source, verdicts
from smtpctl.model.fleet import Role
from tests.lab.support import AppliedFleet

pytestmark = pytest.mark.lab


def test_a_receipt_arrives_with_spf_dkim_and_dmarc_and_its_journey_has_every_step(applied: AppliedFleet) -> None:
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    journey = applied.journey(applied.send(recipient), "delivered", hosts=2)

    (message,) = applied.lab.mail("gmail.test", to=recipient, wait=150)
    assert {method: verdicts(message)[method] for method in ("spf", "dkim", "dmarc")} == {
        "spf": "pass",
        "dkim": "pass",
        "dmarc": "pass",
    }
    first, second = journey["messages"]
    assert first["role"] == "submission"
    assert first["credential"] == "shop"
    selectors = {event["detail"]["selector"] for event in first["events"] if event["kind"] == "signed"}
    assert selectors == {"r1", "e1"}
    assert second["role"] == "relay"
    assert second["stream"] == "transactional"
    (delivery,) = second["deliveries"]
    assert (delivery["provider"], delivery["status"], delivery["dsn"]) == ("google", "sent", "2.0.0")
    assert delivery["source_address"] == source(message)
    assert 0 < journey["latency"] < 30


def test_a_journey_is_whole_also_when_the_relays_log_comes_before_submissions(applied: AppliedFleet) -> None:
    edges = applied.fleet.hosts_with(Role.SUBMISSION)
    for edge in edges:
        assert applied.lab.run(edge, ["systemctl", "stop", "smtpctl-shipper"]).returncode == 0
    try:
        identity = applied.send(f"ada+{uuid.uuid4().hex}@gmail.test")
        known = applied.journey(identity, "delivered")
        assert [message["role"] for message in known["messages"]] == ["relay"]
    finally:
        for edge in edges:
            applied.lab.run(edge, ["systemctl", "start", "smtpctl-shipper"])
    first, second = applied.journey(identity, "delivered", hosts=2)["messages"]
    assert (first["role"], first["credential"], second["role"]) == ("submission", "shop", "relay")
    assert [delivery["queued_as"] for delivery in first["deliveries"]] == [second["queue_id"]]


def test_nothing_about_the_network_inside_leaves_with_a_message(applied: AppliedFleet) -> None:
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    message = applied.message("orders@shop.test", recipient)
    message["Bcc"] = "secret@yahoo.test"
    with connect(applied.place()) as session:
        session.sendmail("orders@shop.test", [recipient], message.as_bytes())
    (arrived,) = applied.lab.mail("gmail.test", to=recipient, wait=150)
    text = arrived.as_string()
    inside = [host.address for host in applied.fleet.hosts.values()] + ["10.78.0.1]", "secret@yahoo.test"]
    assert [address for address in inside if address in text] == []


def test_a_newsletter_leaves_from_an_address_of_the_marketing_pool(applied: AppliedFleet) -> None:
    recipient = f"ada+{uuid.uuid4().hex}@yahoo.test"
    identity = applied.send(recipient, credential="newsletter", sender="hello@news.test")
    applied.journey(identity, "delivered")
    (message,) = applied.lab.mail("yahoo.test", to=recipient, wait=150)
    assert source(message) in {found.address for _, found in applied.fleet.sources_of("marketing")}
    assert verdicts(message)["dmarc"] == "pass"


def test_all_source_addresses_of_a_pool_are_used(applied: AppliedFleet) -> None:
    mark = uuid.uuid4().hex[:8]
    recipients = [f"box{number}+{mark}@outlook.test" for number in range(60)]
    for recipient in recipients:
        applied.send(recipient)
    used = {source(message) for name in recipients for message in applied.lab.mail("outlook.test", to=name, wait=150)}
    assert used == {found.address for _, found in applied.fleet.sources_of("transactional")}


def test_an_unknown_user_is_a_hard_bounce(applied: AppliedFleet) -> None:
    attempt = applied.refused(applied.send(f"nobody+{uuid.uuid4().hex}@outlook.test"))
    assert (attempt["status"], attempt["dsn"]) == ("bounced", "5.1.1")


def test_a_bounce_that_comes_later_finds_its_message(applied: AppliedFleet) -> None:
    journey = applied.journey(applied.send(f"later+{uuid.uuid4().hex}@gmail.test"), "bounced")
    assert journey["bounces"][0]["status"] == "5.2.1"


def test_postmaster_is_read_by_imap(applied: AppliedFleet) -> None:
    subject = f"A question {uuid.uuid4().hex}"
    message = applied.message("ada@gmail.test", "postmaster@shop.test")
    message.replace_header("Subject", subject)
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=20) as session:
        session.send_message(message, "ada@gmail.test", ["postmaster@shop.test"])
        session.send_message(message, "ada@gmail.test", ["abuse@news.test"])
    found: list[str] = []
    for _ in range(100):
        mailbox = read_mailbox(
            applied.fleet.hosts["feedback1"].address,
            "feedback1.lab.test",
            applied.secrets["tls/ca/certificate"],
            "postmaster",
            applied.secrets["mailboxes/postmaster/password"],
        )
        found = [str(item["Subject"]) for item in mailbox if item["Subject"] == subject]
        if len(found) == 2:
            break
    assert len(found) == 2, "postmaster@shop.test and abuse@news.test are read in one mailbox"
