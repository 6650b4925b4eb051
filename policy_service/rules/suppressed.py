"""Rule: nothing goes to a recipient that the fleet has stopped to send to (bounced for good, complained, asked so)."""

from __future__ import annotations

from policy_service.protocol import Request
from policy_service.rules.rule import RCPT, Context, Rule, Verdict

SUPPRESSED = Verdict("554 5.7.1 This recipient is suppressed: mail to it bounced for good, or was not wanted")


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a suppressed recipient."""
    recipient = request.recipient
    return SUPPRESSED if recipient and context.suppressed(recipient) else None


RULE = Rule("suppressed", "The recipient is not suppressed.", frozenset({RCPT}), check)
