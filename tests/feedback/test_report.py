"""Delivery reports, read: what a bounce says about whom, and what is no bounce."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.feedback.categories import Category
from smtpctl.feedback.report import Action, Kind, read_report
from smtpctl.model.deliveries import Hardness

STATUS = """\
Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: 4ZqK3n1xkVz9t
Arrival-Date: Thu, 29 Apr 2010 23:34:45 +0900 (JST)

Final-Recipient: rfc822; forwarded@example.net
Original-Recipient: rfc822;buyer@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.net
Diagnostic-Code: smtp; 550 5.1.1 <forwarded@example.net>:
    User unknown
Last-Attempt-Date: Thu, 29 Apr 2010 23:34:46 +0900
"""


def bounce(status: str = STATUS, kind: str = "message/delivery-status", extra: str = "") -> bytes:
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@mx.example.com
To: bounce+shop@bounce.shop.test
Message-ID: <report@mx.example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

This is a MIME message.
--=_b
Content-Type: text/plain

Your mail was not delivered.
--=_b
Content-Type: {kind}
{extra}
{status}
--=_b
Content-Type: message/rfc822

Received: from out1.lab.test
From: shop@shop.test
Message-ID: <order-1@shop.test>
Subject: Your order

Thank you.
--=_b--
""".replace("\n", "\r\n").encode()


def test_a_bounce_tells_who_what_why_and_about_which_message() -> None:
    report = read_report(bounce())
    assert report.kind is Kind.BOUNCE
    assert report.message_id == "<report@mx.example.com>"
    assert report.reporting_mta == "mx.example.com"
    assert report.original_message_id == "<order-1@shop.test>"
    assert report.original_queue_id == "4ZqK3n1xkVz9t"
    assert report.arrival_at == datetime(2010, 4, 29, 14, 34, 45, tzinfo=UTC)
    (recipient,) = report.recipients
    assert recipient.original == "buyer@example.com"
    assert recipient.final == "forwarded@example.net"
    assert recipient.address == "buyer@example.com"
    assert recipient.action is Action.FAILED
    assert recipient.status == "5.1.1"
    assert recipient.remote_mta == "mail.example.net"
    assert recipient.diagnostic == "550 5.1.1 <forwarded@example.net>: User unknown"
    assert recipient.verdict.category is Category.INVALID_MAILBOX
    assert recipient.hardness is Hardness.HARD
    assert recipient.last_attempt_at == datetime(2010, 4, 29, 14, 34, 46, tzinfo=UTC)


def test_without_the_original_recipient_the_final_one_counts() -> None:
    (recipient,) = read_report(bounce(STATUS.replace("Original-Recipient", "X-Other"))).recipients
    assert recipient.address == "forwarded@example.net"


def test_a_delay_is_soft_whatever_it_says() -> None:
    report = read_report(bounce(STATUS.replace("Action: failed", "Action: delayed")))
    assert report.kind is Kind.DELAY
    assert report.recipients[0].hardness is Hardness.SOFT


def test_a_success_is_a_delivery_and_nothing_bad() -> None:
    report = read_report(bounce(STATUS.replace("Action: failed", "Action: relayed").replace("5.1.1", "2.0.0")))
    assert report.kind is Kind.DELIVERY
    assert report.recipients[0].hardness is Hardness.UNDETERMINED


def test_one_failed_recipient_among_delayed_ones_makes_a_bounce() -> None:
    more = STATUS + "\nFinal-Recipient: rfc822; other@example.com\nAction: delayed\nStatus: 4.4.1\n"
    report = read_report(bounce(more))
    assert report.kind is Kind.BOUNCE
    assert [recipient.action for recipient in report.recipients] == [Action.FAILED, Action.DELAYED]


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed (bad mailbox)", "5.1.1", Action.FAILED),
        ("Failed", "5.1.1", Action.FAILED),
        ("", "4.4.1", Action.DELAYED),
        ("", "2.1.5", Action.DELIVERED),
        ("frobnicated", "5.0.0", Action.FAILED),
        ("", "", Action.FAILED),
    ],
)
def test_an_action_that_is_missing_follows_from_the_status(action: str, status: str, expected: Action) -> None:
    text = f"Final-Recipient: rfc822; a@example.com\nAction: {action}\nStatus: {status}\n"
    assert read_report(bounce(text)).recipients[0].action is expected


def test_a_report_in_base64_is_read() -> None:
    text = "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGFAZXhhbXBsZS5jb20KQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQo="
    report = read_report(bounce(text, extra="Content-Transfer-Encoding: base64\n"))
    assert [recipient.address for recipient in report.recipients] == ["a@example.com"]


def test_an_internationalised_report_is_read() -> None:
    text = "Final-Recipient: utf-8; 本@example.com\nAction: failed\nStatus: 5.1.1\n"
    report = read_report(bounce(text, kind="message/global-delivery-status"))
    assert [recipient.address for recipient in report.recipients] == ["本@example.com"]


def test_the_headers_of_the_original_are_enough() -> None:
    raw = bounce().replace(b"message/rfc822", b"text/rfc822-headers")
    assert read_report(raw).original_message_id == "<order-1@shop.test>"


def test_a_bounce_inside_a_bounce_is_not_ours() -> None:
    inner = bounce().decode().partition("\r\n")[2]
    outer = (
        "Content-Type: multipart/report; boundary=o\r\n\r\n--o\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Final-Recipient: rfc822; outer@example.com\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n"
        f"--o\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--o--\r\n"
    )
    assert [recipient.address for recipient in read_report(outer.encode()).recipients] == ["outer@example.com"]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"Subject: hello\r\n\r\nFinal-Recipient: rfc822; a@example.com\r\nStatus: 5.1.1\r\n", Kind.OTHER),
        (b"Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n", Kind.AUTO_REPLY),
        (b"X-Autoreply: yes\r\n\r\nI am away.\r\n", Kind.AUTO_REPLY),
        (
            b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
            b"Feedback-Type: abuse\r\n--b--\r\n",
            Kind.COMPLAINT,
        ),
        (bounce("Reporting-MTA: dns; mx.example.com\n"), Kind.OTHER),
        (bounce("Final-Recipient: rfc822; nobody\nAction: failed\n"), Kind.OTHER),
        (b"", Kind.OTHER),
        (b"\r\n", Kind.OTHER),
    ],
)
def test_what_is_no_delivery_report_names_nobody(raw: bytes, kind: Kind) -> None:
    report = read_report(raw)
    assert report.kind is kind
    assert report.recipients == ()


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Thu, 29 Apr 9999 23:34:45 -2359", "Thu, 29 Apr 1900 00:00:00 +0000", "1" * 5_000]
)
def test_a_date_that_makes_no_sense_is_left_out(date: str) -> None:
    report = read_report(bounce(STATUS.replace("Thu, 29 Apr 2010 23:34:45 +0900 (JST)", date)))
    assert report.arrival_at is None


@given(st.data())
def test_a_damaged_report_is_read_all_the_same(data: st.DataObject) -> None:
    raw = bytearray(bounce())
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=30)):
        raw[position] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(raw)))
    report = read_report(bytes(raw[:start] if data.draw(st.booleans()) else raw))
    for recipient in report.recipients:
        assert recipient.address
        assert "\x00" not in recipient.address + recipient.diagnostic + recipient.remote_mta
