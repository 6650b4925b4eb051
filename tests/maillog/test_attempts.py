"""The line of a delivery agent: every form that Postfix writes, and what hostile addresses and replies make of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpctl.maillog.attempts import forwarded_as, queued_as, read_delays, read_relay, reply_code
from smtpctl.maillog.recorder import Said
from smtpctl.model.deliveries import Delays, Relay

Say = Callable[[str], Said]

FULL = {"relay": b"r[192.0.2.1]:25", "delay": b"0.1", "delays": b"0/0/0/0.1", "dsn": b"2.0.0", "status": b"sent"}
TAIL = "relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 Ok)"

GOOD = {
    f"to=<a@b.test>, {TAIL}": {"recipient": b"a@b.test", **FULL, "reply": b"250 Ok"},
    f"to=<a@b.test>, orig_to=<c@d.test>, {TAIL}": {"recipient": b"a@b.test", "original_recipient": b"c@d.test"},
    "to=<a@b.test>, relay=r[192.0.2.1]:25, conn_use=7, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (x)": {
        "connection_use": b"7",
        **FULL,
    },
    "to=<a@b.test>, relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, tls=dane/!requiretls:nostarttls, dsn=2.0.0,"
    " status=sent (250 Ok)": {"tls": b"dane/!requiretls:nostarttls", **FULL},
    "to=<a@b.test>, relay=r[192.0.2.1]:25, conn_use=2, delay=0.1, delays=0/0/0/0.1, tls=may?, dsn=2.0.0,"
    " status=sent (250 Ok)": {"tls": b"may?", "connection_use": b"2", **FULL},
    "to=<a@b.test>, relay=none, delay=5, delays=5/0/0/0, dsn=4.4.1, status=deferred (connect to x: refused)": {
        "relay": b"none",
        "status": b"deferred",
        "reply": b"connect to x: refused",
    },
    f"to=<>, {TAIL}": {"recipient": b"", **FULL},
    f"to=<nobody>, {TAIL}": {"recipient": b"nobody", **FULL},
    f"to=a@b.test, {TAIL}": {"recipient": b"a@b.test", **FULL},
    f"to=a@b.test, orig_to=c, {TAIL}": {"recipient": b"a@b.test", "original_recipient": b"c", **FULL},
    f"to=<a b@c.test>, {TAIL}": {"recipient": b"a b@c.test", **FULL},
    f"to=<grün@gemüse.test>, {TAIL}": {"recipient": "grün@gemüse.test".encode(), **FULL},
    f"to=<{'x' * 250}@b.test>, {TAIL}": {"recipient": b"x" * 250 + b"@b.test", **FULL},
    "to=<a@b.test>, relay=/run/dovecot/lmtp, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (x)": {
        "relay": b"/run/dovecot/lmtp"
    },
    "to=<a@b.test>, relay=h[private/lmtp], delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (x)": {
        "relay": b"h[private/lmtp]"
    },
}
HOSTILE = {
    f'to=<"to=<x@y>"@d.test>, {TAIL}': {"recipient": b'"to=<x@y>"@d.test', **FULL},
    f'to=<"]: "@d.test>, {TAIL}': {"recipient": b'"]: "@d.test', **FULL},
    f'to=<"comma, relay=none, delay=0"@d.test>, {TAIL}': {"recipient": b'"comma, relay=none, delay=0"@d.test', **FULL},
    f'to=<"a>, relay=b[1.2.3.4]:25, delay=9"@d.test>, {TAIL}': {
        "recipient": b'"a>, relay=b[1.2.3.4]:25, delay=9"@d.test',
        **FULL,
    },
    f'to=<", status=sent (x)"@d.test>, {TAIL}': {"recipient": b'", status=sent (x)"@d.test', **FULL},
    f'to=<"q\\"uote"@d.test>, {TAIL}': {"recipient": b'"q\\"uote"@d.test', **FULL},
    f'to=<a@b.test>, orig_to=<">, relay=x"@d.test>, {TAIL}': {
        "recipient": b"a@b.test",
        "original_recipient": b'">, relay=x"@d.test',
        **FULL,
    },
    f'to=<"a"@b.test>, orig_to=<"c d"@d.test>, {TAIL}': {
        "recipient": b'"a"@b.test',
        "original_recipient": b'"c d"@d.test',
        **FULL,
    },
    "to=<a@b.test>, relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=4.2.0, status=deferred (host r said: 450 "
    "((unbalanced, dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command))": {
        "dsn": b"4.2.0",
        "status": b"deferred",
        "reply": b"host r said: 450 ((unbalanced, dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command)",
    },
    "to=<a@b.test>, relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.0.0, status=bounced (host r said: 550 "
    "to=<x@y>, relay=none, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (ok))": {
        "recipient": b"a@b.test",
        "dsn": b"5.0.0",
        "status": b"bounced",
    },
}
CUT = {
    "to=<a@b.test>, relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.7.1, status=bounced (host r said: 55": {
        "status": b"bounced",
        "reply": b"host r said: 55",
    },
    "to=<a@b.test>, relay=r[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.7.1": {"dsn": b"5.7.1", "status": b""},
    "to=<a@b.test>, relay=r[192.0.2.1]:25, del": {"relay": b"r[192.0.2.1]:25", "status": b""},
    "to=<a@b.test>, orig_to=<xxxxxxxxx": {"recipient": b"a@b.test", "status": b""},
}


@pytest.mark.parametrize(("text", "expected"), [*GOOD.items(), *HOSTILE.items(), *CUT.items()])
def test_an_attempt_is_read_field_by_field(say: Say, text: str, expected: dict[str, bytes]) -> None:
    said = say(f"4jX5vT1sY3zJk9D: {text}")
    assert (said.event, said.queue_id) == ("attempt", b"4jX5vT1sY3zJk9D")
    assert {name: said.fields.get(name) for name in expected} == expected


def test_parts_that_other_lines_had_too_change_nothing(read_lines: Callable[[str], list[Said]]) -> None:
    expected = [*GOOD.items(), *HOSTILE.items(), *CUT.items()] * 2
    head = "2026-11-21T22:08:53.240556+00:00 mx1 postfix/smtp[524]: 4jX5vT1sY3zJk9D: "
    said = read_lines("".join(f"{head}{text}\n" for text, _ in expected))
    for one, (text, fields) in zip(said, expected, strict=True):
        assert {name: one.fields.get(name) for name in fields} == fields, text


@pytest.mark.parametrize("text", ["to=<56597@con", "to=<", "to="])
def test_a_line_that_is_cut_inside_the_recipient_names_no_recipient(say: Say, text: str) -> None:
    assert say(f"4jX5vT1sY3zJk9D: {text}").event == "cut"


@pytest.mark.parametrize(
    "status", ["undeliverable", "deliverable", "SOFTBOUNCE", "undeliverable-but-not-cached", "new"]
)
def test_every_status_word_is_kept(say: Say, status: str) -> None:
    said = say(f"ABCDEF1: to=<a@b.test>, relay=none, delay=0, delays=0/0/0/0, dsn=4.0.0, status={status} (why)")
    assert said.fields["status"] == status.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"mx.gmail.test[192.0.2.1]:25", Relay(b"mx.gmail.test", b"192.0.2.1", 25)),
        (b"mx.gmail.test[2001:db8::1]:25", Relay(b"mx.gmail.test", b"2001:db8::1", 25)),
        (b"mx.gmail.test[192.0.2.1]", Relay(b"mx.gmail.test", b"192.0.2.1", None)),
        (b"h[private/dovecot-lmtp]", Relay(b"h[private/dovecot-lmtp]", None, None)),
        (b"local", Relay(b"local", None, None)),
        (b"none", Relay(None, None, None)),
    ],
)
def test_a_relay_is_taken_apart(text: bytes, expected: Relay) -> None:
    assert read_relay(text) == expected


def test_delays_are_seconds() -> None:
    assert read_delays(b"1.1", b"0.05/0.01/1/0.04") == Delays(1.1, 0.05, 0.01, 1, 0.04)


@pytest.mark.parametrize("parts", [b"", b"1/2/3", b"1/2/3/", b"a/b/c/d"])
def test_delays_that_are_cut_are_none(parts: bytes) -> None:
    assert read_delays(b"1", parts) is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"250 2.0.0 Ok: queued as 4jX5vT1sY3zJk9D", b"4jX5vT1sY3zJk9D"),
        (b"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as AD2A633C18D", b"AD2A633C18D"),
        (b"250 OK id=1abc", None),
        (b"250 queued as", None),
    ],
)
def test_the_next_queue_id_stands_anywhere_in_the_reply(reply: bytes, expected: bytes | None) -> None:
    assert queued_as(reply) == expected


def test_a_forwarded_copy_is_named_at_the_front_only() -> None:
    assert forwarded_as(b"forwarded as 4jX5x60P4wzP6Cr") == b"4jX5x60P4wzP6Cr"
    assert forwarded_as(b"host x said: 250 forwarded as 4jX5x60P4wzP6Cr") is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"250 2.0.0 Ok", 250),
        (b"host mx[192.0.2.1] said: 550-5.7.1 no (in reply to RCPT TO command)", 550),
        (b"host mx[192.0.2.1] refused to talk to me: 421 busy", 421),
        (b"delivered to mailbox", None),
        (b"connect to mx[192.0.2.1]:25: Connection refused", None),
    ],
)
def test_the_reply_code_is_what_the_other_side_said(reply: bytes, expected: int | None) -> None:
    assert reply_code(reply) == expected
