"""The rules, one a module: each has a name, a description, the stages it is asked at, and a pure check.

The order of ``RULES`` is the order they are asked in; the first that objects decides. ``quota`` comes last and is
different: it may have to wait for the database, so the engine drives it.
"""

from policy_service.rules import authenticated, quota, recipients, sender
from policy_service.rules.rule import Rule, Verdict

RULES: tuple[Rule, ...] = (authenticated.RULE, sender.RULE, recipients.RULE)

#: The check of the header, which the milter makes on the same credentials.
HEADER_FROM = "header-from"

RULE_NAMES: tuple[str, ...] = (*(rule.name for rule in RULES), quota.NAME, HEADER_FROM)

__all__ = ["HEADER_FROM", "RULES", "RULE_NAMES", "Rule", "Verdict"]
