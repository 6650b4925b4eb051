"""Fields of a delivery status: read generously, never guessed."""

from __future__ import annotations

import pytest

from smtpctl.feedback.fields import address_in, decode_xtext, one_line, read_groups, status_in, untyped

ADDRESSES = [
    ("rfc822;user@example.com", "user@example.com"),
    ("RFC822; <User@Example.COM>", "User@example.com"),
    ("user@example.com", "user@example.com"),
    ("rfc822; <@mx.example.net,@b.example.net:user@example.com> (unknown user)", "user@example.com"),
    ("smtp; user+tag@example.com.", "user+tag@example.com"),
    ("rfc822;user+2Btag@example.com", "user+tag@example.com"),
    ("rfc822;user+2Btag+3Dx@example.com", "user+tag=x@example.com"),
    ("rfc822;user+42@example.com", "user+42@example.com"),
    ("rfc822;user+ab@example.com", "user+ab@example.com"),
    ('rfc822;"odd user;name"@example.com', '"odd user;name"@example.com'),
    ("rfc822;user@[192.0.2.1]", "user@[192.0.2.1]"),
    (r"utf-8; \x{672c}@example.com", "本@example.com"),
    ("utf-8; 本@example.com", "本@example.com"),
]

NO_ADDRESSES = [
    "",
    "rfc822;",
    "rfc822; postmaster",
    "X400;/C=US/O=x/",
    "unknown",
    "rfc822; <>",
    "rfc822;/var/mail/neko",
    "@",
]


@pytest.mark.parametrize(("value", "expected"), ADDRESSES)
def test_an_address_is_found_in_every_form_that_servers_write(value: str, expected: str) -> None:
    assert address_in(value) == expected


@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_what_is_no_address_is_not_made_one(value: str) -> None:
    assert address_in(value) == ""


def test_a_plus_that_codes_nothing_stays_itself() -> None:
    assert decode_xtext("a+2Bb") == "a+b"
    assert decode_xtext("a+2Bb+c") == "a+2Bb+c"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5.1.1", "5.1.1"),
        ("5.1.1 (bad destination)", "5.1.1"),
        ("smtp; 550 5.07.001 no", "5.7.1"),
        ("4.4.7", "4.4.7"),
        ("", ""),
        ("550", ""),
        ("192.5.1.1", ""),
        ("5.1.1.9", ""),
        ("3.1.1", ""),
    ],
)
def test_a_status_is_a_class_a_subject_and_a_detail(value: str, expected: str) -> None:
    assert status_in(value) == expected


def test_the_type_of_a_value_is_optional() -> None:
    assert untyped("dns; mx.example.com") == ("dns", "mx.example.com")
    assert untyped("mx.example.com") == ("", "mx.example.com")


def test_groups_are_parted_by_empty_lines() -> None:
    message, recipients = read_groups(
        "Reporting-MTA: dns; mx.example.com\n"
        "Arrival-Date: Thu, 29 Apr 2010 23:34:45 +0900\n"
        "\n"
        "Final-Recipient: rfc822; a@example.com\n"
        "Diagnostic-Code: smtp; 550 one\n"
        "  and two\n"
        "\n"
        "Final-Recipient: rfc822; b@example.com\n"
    )
    assert message["reporting-mta"] == "dns; mx.example.com"
    assert [group["final-recipient"] for group in recipients] == ["rfc822; a@example.com", "rfc822; b@example.com"]
    assert recipients[0]["diagnostic-code"] == "smtp; 550 one and two"


def test_a_missing_empty_line_costs_no_recipient() -> None:
    message, recipients = read_groups(
        "Reporting-MTA: dns; mx.example.com\n"
        "Final-Recipient: rfc822; a@example.com\n"
        "Action: failed\n"
        "Final-Recipient: rfc822; b@example.com\n"
        "Action: delayed\n"
    )
    assert message["reporting-mta"] == "dns; mx.example.com"
    assert [group["action"] for group in recipients] == ["failed", "delayed"]


def test_the_first_of_two_equal_fields_counts() -> None:
    _, recipients = read_groups("Final-Recipient: rfc822; a@example.com\nStatus: 5.1.1\nStatus: 2.0.0\n")
    assert recipients[0]["status"] == "5.1.1"


def test_recipients_and_values_are_bounded() -> None:
    group = "Final-Recipient: rfc822; a@example.com\nDiagnostic-Code: smtp; " + "x" * 10_000 + "\n\n"
    _, recipients = read_groups(group * 1_100)
    assert len(recipients) == 1_000
    assert len(recipients[0]["diagnostic-code"]) == 4_096


def test_control_characters_never_reach_a_value() -> None:
    assert one_line("a\x00b\tc\r\nd\x1be") == "a\ufffdb c d\ufffde"
