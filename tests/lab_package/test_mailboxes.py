"""Reading what the lab's mailbox providers delivered."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from smtpctl.errors import UsageError
from smtpctl.lab import recipient, source, verdicts
from smtpctl.lab.internet.mailboxes import count, delivered

DELIVERED = """\
Return-Path: <bounce+shop@bounce.shop.test>
X-Original-To: {to}
Delivered-To: {to}
Authentication-Results: mx.gmail.test;
\tdkim=fail ("body hash did not verify") header.d=shop.test header.s=r1 header.b="abc";
\tdkim=pass header.d=shop.test header.s=e1 header.b=def;
\tdmarc=pass (policy=reject) header.from=shop.test;
\tspf=pass (mx.gmail.test: domain of bounce@bounce.shop.test designates 10.78.2.1) smtp.mailfrom=bounce.shop.test
Received: from [192.0.2.9] (out1.lab.test [10.78.2.1])
\tby mx.gmail.test (Postfix) with ESMTPS id 1
Received: from edge1.lab.test (edge1.lab.test [10.78.0.11]) by relay1.lab.test
Authentication-Results: forged.test; spf=fail
Subject: {subject}

text
"""


def deliver(folder: Path, domain: str, to: str, subject: str, name: str) -> None:
    """As virtual(8) does: written elsewhere, put in place by rename."""
    place = folder / domain / "new"
    place.mkdir(parents=True, exist_ok=True)
    temporary = folder / "tmp"
    temporary.write_text(DELIVERED.format(to=to, subject=subject))
    temporary.rename(place / name)


def subjects(folder: Path, domain: str, to: str | None = None, wait: float = 0.0, at_least: int = 1) -> list[str]:
    messages = delivered(folder, domain, to=to, wait=wait, at_least=at_least)
    return [str(message["Subject"]) for message in messages]


def test_messages_come_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    deliver(tmp_path, "gmail.test", "b@gmail.test", "third", "1700000001.Vfe00I2M000005.inet")
    deliver(tmp_path, "gmail.test", "a@gmail.test", "first", "1700000000.Vfe00I9M900000.inet")
    deliver(tmp_path, "gmail.test", "a@gmail.test", "second", "1700000001.Vfe00I1M000004.inet")
    assert subjects(tmp_path, "gmail.test") == ["first", "second", "third"]
    assert count(tmp_path, "gmail.test") == 3


def test_a_recipients_messages_are_found_without_regard_to_case(tmp_path: Path) -> None:
    deliver(tmp_path, "gmail.test", "Ada@gmail.test", "hers", "1700000000.V1I1M1.inet")
    deliver(tmp_path, "gmail.test", "bob@gmail.test", "his", "1700000000.V1I2M2.inet")
    assert subjects(tmp_path, "gmail.test", to="ada@GMAIL.test") == ["hers"]


def test_nothing_delivered_yet_is_an_empty_list(tmp_path: Path) -> None:
    assert subjects(tmp_path, "yahoo.test", wait=0.05) == []
    assert count(tmp_path, "yahoo.test") == 0


def test_waiting_ends_with_the_message_that_is_waited_for(tmp_path: Path) -> None:
    deliver(tmp_path, "gmail.test", "a@gmail.test", "first", "1700000000.V1I1M1.inet")
    late = threading.Timer(0.2, deliver, (tmp_path, "gmail.test", "a@gmail.test", "late", "1700000002.V1I2M1.inet"))
    late.start()
    assert subjects(tmp_path, "gmail.test", wait=10.0, at_least=2) == ["first", "late"]
    late.join()


def test_a_domain_of_no_provider_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no mailbox provider receives for 'gmail\.com'") as caught:
        delivered(tmp_path, "gmail.com", to=None, wait=0.0, at_least=1)
    assert "gmail.test" in caught.value.hint


def test_source_and_verdicts_are_the_providers_own_and_one_good_signature_is_enough(tmp_path: Path) -> None:
    deliver(tmp_path, "gmail.test", "ada@gmail.test", "x", "1700000000.V1I1M1.inet")
    (message,) = delivered(tmp_path, "gmail.test", to=None, wait=0.0, at_least=1)
    assert source(message) == "10.78.2.1"
    assert recipient(message) == "ada@gmail.test"
    assert verdicts(message) == {"dkim": "pass", "dmarc": "pass", "spf": "pass"}
