"""Decisions of smtpd(8), cleanup(8), postscreen(8) and milters: one line each, in one common form.

``QID|NOQUEUE: ACTION: STAGE from CLIENT: [CODE] [STATUS] TEXT; from=<> to=<> proto=P helo=<> …`` and, where a header or
body line led to it, ``QID: ACTION: header LINE from CLIENT; from=<> …: TEXT``. A delivery agent that checks headers
knows no client: ``QID: ACTION: header LINE[: TEXT]``.
"""

from __future__ import annotations

import re

from smtpctl.maillog.listener import Decision

#: Words that begin a decision after a queue id. ``warning`` and ``info`` are header checks there.
ACTIONS = frozenset(
    b"reject reject_warning hold discard filter redirect warn warning info prepend replace strip bcc delay permit "
    b"milter-reject milter-hold milter-discard milter-quarantine milter-header-redirect milter-header-reject "
    b"milter-header-discard milter-header-hold".split()
)
#: What a check of the content names first.
_CONTENT = (b"header ", b"body ", b"mime-header ")
_ENVELOPE_START = re.compile(rb"; (?:from=<|to=<|proto=)")
#: postscreen(8) puts commas between the fields, the others do not.
_ENVELOPE = re.compile(
    rb"; (?:from=<(?P<sender>.*?)>)?(?:,? ?to=<(?P<recipient>.*?)>)?(?:,? ?proto=(?P<protocol>[A-Z]+))?"
    rb"(?:,? helo=<(?P<helo>.*?)>)?(?: sasl_method=(?P<method>\S+))?(?: sasl_username=(?P<username>.*?))?"
    rb"(?: sasl_sender=(?P<sasl_sender>\S+))?(?:: (?P<data>.*))?",
    re.S,
)
_CLIENT = re.compile(rb" from (?P<client>[^\s\[]*\[[^\]\s]*\](?::\d+)?|local)(?:: |(?=;)|$)")
_CODES = re.compile(rb"(?:(?P<code>[245]\d\d)(?: |$))?(?:(?P<status>[245]\.\d{1,3}\.\d{1,3})(?: |$))?")


def read_decision(queue_id: bytes | None, action: bytes, text: bytes) -> Decision | None:
    """The decision in ``text``, which follows ``ACTION: ``; None when it has no known form."""
    body, envelope = _split_envelope(text)
    clients = list(_CLIENT.finditer(body))
    if clients:
        # A header line may itself say `from a[1.2.3.4]`; what smtpd answers may say so too.
        client = clients[-1] if text.startswith(_CONTENT) else clients[0]
        stage, said, who = body[: client.start()], body[client.end() :], client["client"]
    elif envelope:
        (stage, _, said), who = body.partition(b": "), b""
    elif action in ACTIONS and text.startswith(_CONTENT):  # of a delivery agent (smtp_header_checks)
        stage, said, who = body, b"", b""
    else:
        return None
    said = said or envelope.get("data") or b""
    codes = _CODES.match(said)
    code, status, rest = (codes["code"], codes["status"], said[codes.end() :]) if codes else (None, None, said)
    return Decision(
        queue_id,
        action,
        stage,
        who,
        code,
        status,
        rest,
        envelope.get("sender"),
        envelope.get("recipient"),
        envelope.get("helo"),
        envelope.get("username"),
        envelope.get("protocol"),
        envelope.get("method"),
        envelope.get("sasl_sender"),
    )


def _split_envelope(text: bytes) -> tuple[bytes, dict[str, bytes | None]]:
    """(text before the envelope, its fields). The text may hold ``; from=<`` of its own: the last one counts."""
    for start in reversed([match.start() for match in _ENVELOPE_START.finditer(text)]):
        match = _ENVELOPE.fullmatch(text, start)
        if match:
            return text[:start], match.groupdict()
    return text, {}
