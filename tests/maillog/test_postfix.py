"""What lines of Postfix's daemons say, one by one: events with every field, and the lines that only look like them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpctl.maillog.postfix import is_queue_id
from smtpctl.maillog.recorder import Said, Value

Say = Callable[[str], Said]
QID = "4jX5vT1sY3zJk9D"

MESSAGES: dict[str, tuple[str, dict[str, Value]]] = {
    "client=h.test[192.0.2.1]": ("accepted", {"client_name": b"h.test", "client_address": b"192.0.2.1"}),
    "client=unknown[2001:db8::1]:4711": ("accepted", {"client_address": b"2001:db8::1", "client_port": b"4711"}),
    "client=h[192.0.2.1], sasl_method=PLAIN, sasl_username=shop": ("accepted", {"sasl_username": b"shop"}),
    "client=h[192.0.2.1], sasl_method=LOGIN, sasl_username=a, b c, sasl_sender=x@y.test": (
        "accepted",
        {"sasl_username": b"a, b c", "sasl_sender": b"x@y.test"},
    ),
    "client=h[192.0.2.1], orig_queue_id=ABCDEF1, orig_client=o[192.0.2.9]": (
        "accepted",
        {"orig_queue_id": b"ABCDEF1", "orig_client": b"o[192.0.2.9]"},
    ),
    "uid=0 from=<root@h.test>": ("picked-up", {"uid": b"0", "sender": b"root@h.test"}),
    "uid=1000 from=<> orig_id=ABCDEF1": ("picked-up", {"sender": b"", "original_queue_id": b"ABCDEF1"}),
    "message-id=<x@y.test>": ("identified", {"message_id": b"x@y.test"}),
    "message-id=<>": ("identified", {"message_id": b""}),
    "message-id=no-angle@x": ("identified", {"message_id": b"no-angle@x"}),
    "message-id=<a>b@c>": ("identified", {"message_id": b"a>b@c"}),
    "message-id=<cut off": ("identified", {"message_id": b"cut off"}),
    "message-id=<a@b> (comment)": ("identified", {"message_id": b"a@b> (comment)"}),
    "resent-message-id=<r@y.test>": ("identified", {"message_id": b"r@y.test", "resent": True}),
    "from=<a@b.test>, size=364, nrcpt=2 (queue active)": (
        "active",
        {"sender": b"a@b.test", "size": 364, "recipients": 2},
    ),
    "from=<>, size=1, nrcpt=1 (queue active)": ("active", {"sender": b""}),
    'from=<"x, size=9, nrcpt=9"@b.test>, size=1, nrcpt=1 (queue active)': (
        "active",
        {"sender": b'"x, size=9, nrcpt=9"@b.test', "size": 1},
    ),
    "from=<a@b.test>, status=expired, returned to sender": (
        "expired",
        {"sender": b"a@b.test", "status": b"expired"},
    ),
    "from=<a@b.test>, status=force-expired, returned to sender": ("expired", {"status": b"force-expired"}),
    "removed": ("removed", {}),
    "removed (canceled)": ("removed", {"how": b"canceled"}),
    "removed (discarded)": ("removed", {"how": b"discarded"}),
    "sender non-delivery notification: ABCDEF1": ("notified", {"kind": b"bounce", "child": b"ABCDEF1"}),
    "sender delay notification: ABCDEF1": ("notified", {"kind": b"delay"}),
    "sender delivery status notification: ABCDEF1": ("notified", {"kind": b"success"}),
    "postmaster non-delivery notification: ABCDEF1": ("notified", {"kind": b"postmaster"}),
    "requeued": ("changed", {"action": b"requeued"}),
    "placed on hold": ("changed", {"action": b"placed on hold"}),
    "released from hold": ("changed", {"action": b"released from hold"}),
    "expired": ("changed", {"action": b"expired"}),
    "host mx[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)": ("reply", {"stage": b"RCPT TO"}),
    "host mx[192.0.2.1] refused to talk to me: 554 no": ("reply", {"reply": b"554 no"}),
    "lost connection with mx[192.0.2.1] while sending DATA command": ("conversation", {"name": b"mx"}),
    "conversation with mx[192.0.2.1] timed out while sending RCPT TO": ("conversation", {"stage": b"sending RCPT TO"}),
    "Cannot start TLS: handshake failure": ("tls-error", {"reason": b"handshake failure"}),
    "enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx[192.0.2.1]:25": ("workaround", {"name": b"mx"}),
    "passing <bob@x.test> to transport=lmtp": ("transport", {"recipient": b"bob@x.test", "transport": b"lmtp"}),
    "skipped, still being delivered": ("skipped", {}),
    "lost connection after DATA (16 bytes) from h[192.0.2.1]": ("lost", {"stage": b"DATA", "bytes": b"16"}),
}
WITHOUT: dict[str, tuple[str, dict[str, Value]]] = {
    "connect from h.test[192.0.2.1]": ("connect", {"name": b"h.test", "address": b"192.0.2.1"}),
    "disconnect from h[192.0.2.1]:99 ehlo=1 mail=1 commands=2": (
        "disconnect",
        {"commands": b"ehlo=1 mail=1 commands=2"},
    ),
    "NOQUEUE: lost connection after AUTH from h[192.0.2.1]": ("lost", {"stage": b"AUTH"}),
    "timeout after END-OF-MESSAGE from h[192.0.2.1]": ("lost", {"what": b"timeout", "stage": b"END-OF-MESSAGE"}),
    "too many errors after UNKNOWN from h[192.0.2.1]": ("lost", {"what": b"too many errors"}),
    "improper command pipelining after HELO from h[192.0.2.1]: MAIL FROM:<a@b>": ("pipelining", {"stage": b"HELO"}),
    "warning: h[192.0.2.1]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=a, b": (
        "sasl-failed",
        {"method": b"LOGIN", "username": b"a, b"},
    ),
    "warning: SASL authentication failure: Password verification failed": ("warning", {"level": b"warning"}),
    "fatal: no SASL authentication mechanisms": ("fatal", {"message": b"no SASL authentication mechanisms"}),
    "statistics: max connection rate 1/60s for (smtp:192.0.2.1) at Nov  1 00:00:00": (
        "statistics",
        {"what": b"connection rate", "count": b"1", "period": b"60s", "service": b"smtp", "address": b"192.0.2.1"},
    ),
    "daemon started -- version 3.10.13, configuration /etc/postfix": ("daemon", {"version": b"3.10.13"}),
    "NOQUEUE: client=h[192.0.2.1]:99": ("proxy-client", {"address": b"192.0.2.1"}),
    "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as ABCDEF1; from=<a@b> to=<c@d> proto=ESMTP helo=<h>": (
        "proxy",
        {"reply": b"250 2.0.0 Ok: queued as ABCDEF1"},
    ),
    "CONNECT from [192.0.2.1]:53024 to [192.0.2.2]:25": ("postscreen", {"result": b"CONNECT"}),
    "PASS NEW [2001:db8::1]:36051": ("postscreen", {"address": b"2001:db8::1"}),
    "Untrusted TLS connection established to mx[192.0.2.1]:25: TLSv1.3 with cipher X (256/256 bits) key-exchange Y": (
        "tls",
        {"trust": b"Untrusted", "protocol": b"TLSv1.3", "cipher": b"X"},
    ),
    "warning: 3mCqcj5HR1z2xDW: message has been queued for 2 days": (
        "warning",
        {"text": b"message has been queued for 2 days"},
    ),
}
#: Text of others, made to look like lines of Postfix.
LURES = [
    "improper command pipelining after HELO from h[192.0.2.1]: removed",
    "improper command pipelining after HELO from h[192.0.2.1]: client=x[1.2.3.4]",
    "warning: non-SMTP command from h[192.0.2.1]: 4jX5vT1sY3zJk9D: removed",
    "NOQUEUE: removed",
    "warning: removed",
]


@pytest.mark.parametrize(("text", "expected"), MESSAGES.items())
def test_a_line_about_a_message_is_understood(say: Say, text: str, expected: tuple[str, dict[str, Value]]) -> None:
    said = say(f"{QID}: {text}")
    assert (said.event, said.queue_id) == (expected[0], QID.encode())
    assert {name: said.fields.get(name) for name in expected[1]} == expected[1]


@pytest.mark.parametrize(("text", "expected"), WITHOUT.items())
def test_a_line_about_no_message_is_understood(say: Say, text: str, expected: tuple[str, dict[str, Value]]) -> None:
    said = say(text)
    assert said.event == expected[0]
    assert {name: said.fields.get(name) for name in expected[1]} == expected[1]


@pytest.mark.parametrize("text", LURES)
def test_text_of_others_makes_no_event(say: Say, text: str) -> None:
    assert say(text).event not in ("removed", "accepted")


@pytest.mark.parametrize(
    "text",
    ["from=<a@b>, size=x, nrcpt=1 (queue active)", "client=nonsense", "remov", "a new kind of line", "removed ("],
)
def test_what_is_not_understood_is_said_so_with_its_queue_id(say: Say, text: str) -> None:
    said = say(f"{QID}: {text}")
    assert (said.event, said.queue_id, said.fields["text"]) == ("unknown", QID.encode(), text.encode())


@pytest.mark.parametrize("text", ["4104E3D", "ABB3533C17D", "3mPVKl0Mhjz7sXv", "4jX5vT1sY3zJk9D", "48rT2v1hQrz1J0N"])
def test_queue_ids_short_and_long(text: str) -> None:
    assert is_queue_id(text.encode())


@pytest.mark.parametrize(
    "text", ["", "12345", "abcdef", "warning", "statistics", "NOQUEUE", "4jX5vT1sY3", "4jX5aT1sY3zJk9D"]
)
def test_what_is_no_queue_id(text: str) -> None:
    assert not is_queue_id(text.encode())
