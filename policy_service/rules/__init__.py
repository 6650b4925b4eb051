"""The rules, one a module: each has a name, a description, the stages it is asked at, and a pure check.

The order of ``RULES`` is the order they are asked in; the first that refuses decides. ``quota`` and ``ramp`` come last
and are different: they may have to wait for the database, so the engine drives them. ``invalid-recipients`` follows
from what ``suppressed`` found, and the milter asks ``header-from``.
"""

from policy_service.rules import (
    authenticated,
    client,
    held,
    hours,
    invalid_recipients,
    quota,
    ramp,
    recipients,
    sender,
    size,
    suppressed,
)
from policy_service.rules.rule import Context, Rule, Verdict

RULES: tuple[Rule, ...] = (
    authenticated.RULE,
    client.RULE,
    sender.RULE,
    hours.RULE,
    held.RULE,
    suppressed.RULE,
    recipients.RULE,
    size.RULE,
)

#: The check of the header, which the milter makes on the same credentials.
HEADER_FROM = "header-from"

RULE_NAMES: tuple[str, ...] = (
    *(rule.name for rule in RULES),
    quota.NAME,
    ramp.NAME,
    invalid_recipients.NAME,
    HEADER_FROM,
)

#: Rules whose objection may be another action than their own: those that are asked about every recipient.
WITH_ACTION: tuple[str, ...] = ("client", "sender", "hours", "held", "suppressed")

__all__ = ["HEADER_FROM", "RULES", "RULE_NAMES", "WITH_ACTION", "Context", "Rule", "Verdict"]
