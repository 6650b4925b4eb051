"""Rule: mail of a credential that is held waits in the hold queue (postsuper(1)) until somebody has looked at it.

A credential is held where it behaves as a stolen one does (``invalid-recipients``), or by hand.
"""

from __future__ import annotations

from policy_service.protocol import Request
from policy_service.rules.rule import RCPT, Context, Rule, Verdict


def check(_: Request, context: Context) -> Verdict | None:
    """Hold the messages of a held credential."""
    if context.credential is None or context.held_until <= context.wall:
        return None
    return Verdict(f"HOLD 5.7.1 Credential {context.credential.name} is held")


RULE = Rule("held", "The credential is not held.", frozenset({RCPT}), check, once=True)
