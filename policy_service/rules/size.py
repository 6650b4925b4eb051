"""Rule: a message is no larger than its stream allows: by what the client announces (RFC 1870), then by what came."""

from __future__ import annotations

from policy_service.protocol import Request, number
from policy_service.rules.rule import DATA, END, RCPT, Context, Rule, Verdict


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a message that is too large for its stream."""
    if context.credential is None or not context.credential.stream.message_size:
        return None
    stream, size = context.credential.stream, number(request.size)
    if size <= stream.message_size:
        return None
    return Verdict(
        f"552 5.3.4 {size} bytes are more than the {stream.message_size} of a message of stream {stream.name}"
    )


RULE = Rule("size", "The message is no larger than its stream allows.", frozenset({RCPT, DATA, END}), check)
