"""Decisions of smtpd(8), cleanup(8) and their milters: one line each, in one common form.

``QID|NOQUEUE: ACTION: STAGE from CLIENT: [CODE] [STATUS] TEXT; from=<> to=<> proto=P helo=<> …`` and, where a header or
body line led to it, ``QID: ACTION: header LINE from CLIENT; from=<> …: TEXT``.
"""

from __future__ import annotations

import re

from smtpctl.maillog.events import Decision

#: Words that begin a decision. ``warning`` and ``info`` are header checks here: they come with a queue id.
ACTIONS = frozenset(
    b"reject reject_warning hold discard filter redirect warn warning info prepend replace strip bcc delay "
    b"milter-reject milter-hold milter-discard milter-quarantine milter-header-redirect milter-header-reject "
    b"milter-header-discard milter-header-hold".split()
)
_ENVELOPE = re.compile(
    rb"; (?:from=<(?P<sender>.*?)> ?)?(?:to=<(?P<recipient>.*?)> ?)?(?:proto=(?P<protocol>\S+?) ?)?"
    rb"(?:helo=<(?P<helo>.*?)>)?"
    rb"(?: sasl_method=(?P<method>\S+?))?(?: sasl_username=(?P<username>.*?))?(?: sasl_sender=(?P<sasl_sender>\S+?))?"
    rb"(?:: (?P<data>.*))?$",
    re.S,
)
_ENVELOPE_START = re.compile(rb"; (?:from=<|to=<|proto=)")
_CLIENT = re.compile(rb" from (?P<client>\S*\[[^\]\s]*\](?::\d+)?|local)(?:: |(?=;)|$)")
_CODES = re.compile(rb"(?:(?P<code>[245]\d\d) )?(?:(?P<status>[245]\.\d{1,3}\.\d{1,3}) )?")


def read_decision(queue_id: bytes | None, action: bytes, text: bytes) -> Decision | None:
    """The decision in ``text``, which follows ``ACTION: ``; None when it has no known form."""
    envelope = _last_envelope(text)
    body = text[: envelope.start()] if envelope else text
    named = envelope.groupdict() if envelope else {}
    client = _CLIENT.search(body)
    if client:
        stage, rest = body[: client.start()], body[client.end() :]
    elif envelope or b": " in body:
        stage, _, rest = body.partition(b": ")
    else:
        return None
    rest = rest or named.get("data") or b""
    codes = _CODES.match(rest)
    return Decision(
        queue_id,
        action,
        stage,
        client["client"] if client else b"",
        codes["code"] if codes else None,
        codes["status"] if codes else None,
        rest[codes.end() :] if codes else rest,
        named.get("sender"),
        named.get("recipient"),
        named.get("helo"),
        named.get("username"),
    )


def _last_envelope(text: bytes) -> re.Match[bytes] | None:
    """The envelope stands at the end; the text before it may hold ``; from=<`` of its own."""
    for start in reversed([match.start() for match in _ENVELOPE_START.finditer(text)]):
        match = _ENVELOPE.match(text, start)
        if match and (match["protocol"] or match["sender"] is not None):
            return match
    return None
