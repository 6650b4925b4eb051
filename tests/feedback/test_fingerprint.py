"""The same mail is the same mail, by whichever way and however often it arrives."""

from __future__ import annotations

from smtpctl.feedback.fingerprint import fingerprint

MAIL = b"Message-ID: <1@example.com>\r\nSubject: undelivered\r\n\r\nbody\r\n"


def test_trace_fields_do_not_count() -> None:
    again = (
        b"Return-Path: <>\r\nDelivered-To: bounce+a@bounce.shop.test\r\nX-Original-To: bounce+a@bounce.shop.test\r\n"
        b"Received: from mx.example.com (mx.example.com [192.0.2.1])\r\n\tby feedback1 (Postfix)\r\n"
    )
    assert fingerprint(again + MAIL) == fingerprint(MAIL)


def test_everything_else_counts() -> None:
    others = [MAIL + b"x", MAIL.replace(b"<1@", b"<2@"), MAIL.replace(b"undelivered", b"Received: x"), b"", b"\r\n"]
    assert len({fingerprint(mail) for mail in [MAIL, *others]}) == len(others) + 1


def test_what_looks_like_a_trace_field_in_the_body_counts() -> None:
    assert fingerprint(MAIL + b"Received: a\r\n") != fingerprint(MAIL + b"Received: b\r\n")
