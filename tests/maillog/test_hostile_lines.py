"""Lines that mean to be taken for something else, lines that were cut, and forms that stand in Postfix's sources but in
few logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpctl.maillog.recorder import Said, Value
from smtpctl.model.deliveries import Rows

Say = Callable[[str], Said]
Track = Callable[..., Rows]
QID = "4jX5vT1sY3zJk9D"
REST = "relay=mx[192.0.2.1]:25, delay=1, delays=0.1/0.1/0.1/0.7, dsn=5.1.1, status=bounced (host mx said: 550 no)"

RECIPIENTS = [
    '"to=<x@y>"@d.test',
    '"]: "@d.test',
    '"comma, relay=none, delay=0"@d.test',
    '"status=sent (x)"@d.test',
    '"a>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (x"@d.test',
    '"quote\\" inside"@d.test',
    "a b@d.test",
    "a,b@d.test",
    "a, b@d.test",
    "jürgen@bücher.test",
    "x" * 250 + "@d.test",
    "nobody",
    "",
    "@d.test",
    "user+tag=other.test@d.test",
]


@pytest.mark.parametrize("recipient", RECIPIENTS)
@pytest.mark.parametrize("original", [None, "list@d.test", '"a, b: c>, relay=none"@d.test', "postmaster"])
def test_an_address_is_read_whole_whatever_it_holds(say: Say, recipient: str, original: str | None) -> None:
    alias = "" if original is None else f"orig_to=<{original}>, "
    said = say(f"{QID}: to=<{recipient}>, {alias}{REST}")
    expected = (recipient.encode(), None if original is None else original.encode(), b"bounced", b"5.1.1")
    assert tuple(said.fields.get(name) for name in ("recipient", "original_recipient", "status", "dsn")) == expected


REPLIES = [
    "host mx said: 550 no, status=sent (250 ok), dsn=2.0.0 (in reply to RCPT TO command)",
    "host mx said: 550 ((( unbalanced",
    "host mx said: 550 queued as ABCDEF1234 not at all",
    "host mx said: 550 to=<x@y>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250",
    "?????",
    "",
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_is_what_follows_the_first_status(say: Say, reply: str) -> None:
    said = say(
        f"{QID}: to=<a@b.test>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced ({reply})"
    )
    assert (said.fields["status"], said.fields["reply"]) == (b"bounced", reply.encode())


def test_a_line_cut_anywhere_keeps_its_queue_id(say: Say) -> None:
    whole = f"{QID}: to=<someone@d.test>, orig_to=<list@d.test>, {REST}"
    for length in range(len(QID) + 5, len(whole)):
        said = say(whole[:length])
        assert said.event in ("attempt", "cut"), whole[:length]
        assert said.queue_id == QID.encode()
        assert said.fields.get("recipient", b"someone@d.test") == b"someone@d.test"


#: text after ``daemon[pid]: `` -> event and some of its fields; the formats are those of Postfix 3.10's programs.
FORMS: dict[str, tuple[str, dict[str, Value]]] = {
    "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 450 4.3.2 Service currently unavailable; from=<a@b>, to=<c@d>, "
    "proto=ESMTP, helo=<x>": (
        "decision",
        {"client": b"[192.0.2.1]:4711", "sender": b"a@b", "recipient": b"c@d", "protocol": b"ESMTP", "helo": b"x"},
    ),
    "NOQUEUE: reject: CONNECT from [192.0.2.1]:4711: too many connections": (
        "decision",
        {"client": b"[192.0.2.1]:4711", "text": b"too many connections"},
    ),
    "NOQUEUE: reject: CONNECT from [192.0.2.1]:4711: all server ports busy": ("decision", {"stage": b"CONNECT"}),
    "reject: connect from [192.0.2.1]:4711: all screening ports busy": ("postscreen", {"port": b"4711"}),
    "entering STRESS mode with 80 connections": ("postscreen", {"connections": b"80"}),
    "DATA without valid RCPT from [2001:db8::1]:4711": ("postscreen", {"address": b"2001:db8::1"}),
    "PASS NEW [2001:db8::1]:4711": ("postscreen", {"result": b"PASS NEW"}),
    "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 4jX5vX34w0zJkC2; from=<a@b> to=<c@d> proto=ESMTP helo=<h> "
    "sasl_method=PLAIN sasl_username=shop": (
        "proxy",
        {"sender": b"a@b", "recipient": b"c@d", "sasl_username": b"shop"},
    ),
    "NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 no; from=<a@b> to=<c@d> proto=ESMTP helo=<h> sasl_method=LOGIN "
    "sasl_username=a user, here": ("decision", {"sasl_method": b"LOGIN", "sasl_username": b"a user, here"}),
    "TLSRPT: status=failure, domain=d.test, receiving_mx=mx.d.test[192.0.2.1], failure_type=starttls_not_supported": (
        "tls-report",
        {"status": b"failure", "domain": b"d.test", "failure": b"starttls_not_supported"},
    ),
    "TLSRPT: status=success, domain=d.test, receiving_mx=mx.d.test[192.0.2.1]": ("tls-report", {"status": b"success"}),
    f'{QID}: replacing server reply "550 5.1.1 no" with "450 4.1.1 no"': ("rewritten", {"reply": b"450 4.1.1 no"}),
    f"{QID}: breaking line > 998 bytes with <CR><LF>SPACE": ("rewritten", {"bytes": b"998"}),
    f'{QID}: enabling VERP for sender "a@b"': ("verp", {"sender": b"a@b"}),
    f"{QID}: postmaster notice failed while bouncing to a@b": ("notification-failed", {"reason": b"a@b"}),
    f"{QID}: not sending trace/success notification for double-bounce message": ("notification-skipped", {}),
    f"{QID}: sender notification failed to <a@b>: mail system is down": ("notification-failed", {"whom": b"sender"}),
    f"warning: {QID}: undeliverable postmaster notification discarded": ("warning", {}),
    f"{QID}: reject: mime-error message/rfc822 nesting exceeds safety limit: x from local; from=<a@b> to=<c@d>": (
        "decision",
        {"action": b"reject", "sender": b"a@b"},
    ),
    f"{QID}: to=<a@b.test>, relay=none, delay=5, delays=5/0/0/0, tls=dane/!requiretls:nostarttls, dsn=4.7.5, "
    "status=SOFTBOUNCE (TLS is required)": (
        "attempt",
        {"tls": b"dane/!requiretls:nostarttls", "status": b"SOFTBOUNCE"},
    ),
    f"{QID}: to=<a@b.test>, relay=none, delay=5, delays=5/0/0/0, dsn=4.3.0, status=undeliverable-but-not-cached (x)": (
        "attempt",
        {"status": b"undeliverable-but-not-cached"},
    ),
}


@pytest.mark.parametrize(("text", "expected"), FORMS.items())
def test_forms_of_the_sources_are_understood(say: Say, text: str, expected: tuple[str, dict[str, Value]]) -> None:
    said = say(text)
    assert said.event == expected[0]
    assert {name: said.fields.get(name) for name in expected[1]} == expected[1]
    assert said.queue_id == (QID.encode() if QID in text else None)


def test_a_message_behind_a_proxy_filter_keeps_the_real_client(track: Track) -> None:
    rows = track("""
        postfix/front/smtpd[7] NOQUEUE: client=app.test[192.0.2.9]
        smtpd[8] 4jX5vX34w0zJkC2: client=localhost[127.0.0.1]
        cleanup 4jX5vX34w0zJkC2: message-id=<m@x>
        postfix/front/smtpd[7] proxy-accept: END-OF-MESSAGE: 250 Ok: queued as 4jX5vX34w0zJkC2; from=<a@b> to=<c@d>
    """)
    (event,) = rows.events
    assert (event.kind, event.message, event.recipient) == ("proxy", rows.messages[0].id, b"c@d")
    assert event.detail["client"] == "app.test[192.0.2.9]"


def test_lines_that_a_logger_threw_away_are_a_gap(track: Track) -> None:
    (event,) = track("systemd-journald[1] Suppressed 7 messages from postfix@-.service").events
    assert (event.kind, event.detail) == ("gap", {"text": "Suppressed 7 messages from postfix@-.service"})


def test_what_goes_on_in_mailbox_and_balancer_is_kept_where_it_matters(track: Track) -> None:
    rows = track("""
        dovecot lmtp(alice@d.test)<1><s>: msgid=<m@x>: saved mail to INBOX
        dovecot imap-login: Login: user=<alice@d.test>, method=PLAIN
        haproxy[2] 192.0.2.1:5762 [21/Nov/2026:23:27:52.694] submission sub587/h2 1/0/13 2350 -- 1/1/0/0/0 0/0
        haproxy[2] 192.0.2.1:5762 [21/Nov/2026:23:27:52.694] submission sub587/<NOSRV> 1/-1/13 0 SC 1/1/0/0/0 0/0
        haproxy[2] Server sub587/h2 is DOWN, reason: Layer4 timeout
    """)
    assert [(event.kind, event.recipient) for event in rows.events] == [
        ("mailbox", b"alice@d.test"),
        ("balancer", None),
        ("balancer", None),
    ]
    assert rows.events[0].detail["message_id"] == "<m@x>"
