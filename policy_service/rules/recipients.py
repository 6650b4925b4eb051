"""Rule: a message has no more recipients than its credential may give one. Postfix says the number at DATA."""

from __future__ import annotations

from policy_service.protocol import Request, number
from policy_service.rules.rule import DATA, Context, Rule, Verdict


def check(request: Request, context: Context) -> Verdict | None:
    """Object to more recipients than the credential has for one message. It can never pass, so the refusal is final."""
    credential = context.credential
    if credential is None:
        return None
    count = number(request.recipients)
    if count <= credential.recipients_per_message:
        return None
    return Verdict(
        f"554 5.7.1 {count} recipients are more than the {credential.recipients_per_message} "
        f"that one message of credential {credential.name} may have"
    )


RULE = Rule("recipients", "The message has no more recipients than its credential allows.", frozenset({DATA}), check)
