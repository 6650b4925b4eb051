"""What a failure means: a category, what to do, and whether the address itself is bad (hard).

Only a hard verdict may ever stop mail to an address, so the question is not "4xx or 5xx": most block lists answer 5xx
about *us*. What a provider documents comes first; then words, because servers choose them more carefully than codes
(5.7.1, 5.0.0 and 5.4.1 are used for everything); then the enhanced status code (RFC 3463), then the reply code (RFC
5321 §4.2). The rules themselves are data (``rules``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smtpctl.feedback import rules
from smtpctl.feedback.categories import HARD, Action, Category


@dataclass(frozen=True, slots=True)
class Verdict:
    """A category, whether the address is bad, what to do, and where the rule that says so comes from."""

    category: Category
    hard: bool
    action: Action = Action.READ
    source: str = ""
    date: str = ""

    @property
    def hardness(self) -> str:
        """``hard``, ``soft``, or ``undetermined`` where nobody said why."""
        if self.hard:
            return "hard"
        return "undetermined" if self.category is Category.OTHER else "soft"


#: Characters of a reply that are compared with the phrases: the reason stands at the front.
MAX_WORDS = 1000

_ADDRESS = re.compile(r"[^\s<>\[\]():,;\"']{1,256}@[^\s<>\[\]():,;\"']{1,256}")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_ENHANCED = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")


def judge(status: str, text: str, provider: str = "") -> Verdict:
    """Given an enhanced status code ("5.1.1" or ""), a server's words and, if known, whose server ("google"), return
    what the failure means."""
    words = _ADDRESS.sub("@", text[:MAX_WORDS].lower())
    rule = (
        _by_provider(status, words, provider)
        or _by_phrase(words)
        or _by_status(text)
        or _by_status(status)
        or _by_reply(text)
    )
    if rule is None:
        return Verdict(Category.OTHER, hard=False)
    hard = rule.category in HARD and not _is_temporary(status, text)
    action = Action.RETRY if rule.action is Action.REMOVE and not hard else rule.action
    return Verdict(rule.category, hard, action, rule.source, rule.date)


def _by_provider(status: str, words: str, name: str) -> rules.Rule | None:
    """By what the provider documents: the one that is named, else one whose servers speak like that."""
    for provider in rules.providers():
        if name in provider.names or (not name and provider.tells.search(words)):
            statuses = [
                (int(code_class), int(subject), int(detail))
                for code_class, subject, detail in _ENHANCED.findall(words) + _ENHANCED.findall(status)
            ]
            return next((rule for rule in provider.rules if rule.holds(statuses, words)), None)
    return None


def _by_phrase(words: str) -> rules.Rule | None:
    return next((rule for rule in rules.common() if rule.holds((), words)), None)


def _by_status(text: str) -> rules.Rule | None:
    """By the first enhanced code that says more than "other": 5.0.0 and its kind have no answer of their own."""
    table = rules.by_status()
    for _, subject, detail in _ENHANCED.findall(text):
        found = table.get(f"{int(subject)}.{int(detail)}") or table.get(f"{int(subject)}")
        if found:
            return found
    return None


def _by_reply(text: str) -> rules.Rule | None:
    match = _REPLY.search(text)
    return rules.by_reply().get(match[1]) if match else None


def _is_temporary(status: str, text: str) -> bool:
    """A 4yz answer to an unknown mailbox is a server that cannot look it up now, and no verdict on the address."""
    reply = _REPLY.search(text)
    return (reply[1] if reply else status).startswith("4")
