"""Rule: only a credential of the fleet submits mail. The sign-in is Postfix's and Dovecot's; this is a second lock."""

from __future__ import annotations

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, END, RCPT, Context, Rule, Verdict

NOT_SIGNED_IN = Verdict("REJECT 5.7.1 Submission needs authentication")
NOT_KNOWN = Verdict("REJECT 5.7.1 This credential is not one of the fleet's")


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a request without a credential, or with one that the rules do not have."""
    if context.credential is not None:
        return None
    return NOT_KNOWN if request.user else NOT_SIGNED_IN


RULE = Rule(
    "authenticated",
    "The client has signed in as a credential of the fleet.",
    frozenset({RCPT, DATA, END}),
    check,
    once=True,
)
