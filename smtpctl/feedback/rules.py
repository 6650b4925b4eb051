"""The rules that replies are judged by: data files in `rules/`, each with its source and date.

- ``PROVIDER.toml``: what one provider's servers say. They hold for replies of that provider, known by its name or by
  what only its servers say (``tells``).
- ``common.toml``: phrases of servers of any make.
- ``status.toml``: enhanced status codes and reply codes.
- ``actions.toml``: what to do, by category.

A rule of a provider names enhanced status codes (class apart; ``7.606-7.649`` is a range, ``7.0/4`` holds for class 4),
words, or both: then both must be there. The first rule that holds is the answer.
"""

from __future__ import annotations

import pkgutil
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from smtpctl.errors import LedgerError
from smtpctl.feedback.categories import Action, Category

PROVIDERS = ("google", "microsoft", "yahoo", "apple")
#: Class, subject and detail of an enhanced status code.
Status = tuple[int, int, int]
_CODES = re.compile(r"(\d+)\.(\d+)(?:-\1\.(\d+))?(?:/([45]))?")


@dataclass(frozen=True, slots=True)
class Codes:
    """A run of enhanced status codes; ``of_class`` is 0 for both 4 and 5."""

    subject: int
    first: int
    last: int
    of_class: int

    @classmethod
    def read(cls, text: str) -> Codes:
        """Given ``7.26``, ``7.606-7.649`` or ``7.0/4``."""
        match = _CODES.fullmatch(text)
        if match is None:
            raise LedgerError(f"rules: {text!r} is no enhanced status code; right is 7.26, 7.606-7.649 or 7.0/4")
        first = int(match[2])
        return cls(int(match[1]), first, int(match[3] or first), int(match[4] or 0))

    def hold(self, status: Status) -> bool:
        """Whether a code is one of these."""
        code_class, subject, detail = status
        return subject == self.subject and self.first <= detail <= self.last and self.of_class in (0, code_class)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, and where it comes from."""

    category: Category
    action: Action
    codes: tuple[Codes, ...]
    words: re.Pattern[str] | None
    source: str
    date: str

    def holds(self, statuses: Iterable[Status], words: str) -> bool:
        """Whether the rule is about such a reply."""
        if self.words is not None and not self.words.search(words):
            return False
        return not self.codes or any(codes.hold(status) for status in statuses for codes in self.codes)


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider's servers say."""

    names: frozenset[str]
    tells: re.Pattern[str]
    rules: tuple[Rule, ...]


@cache
def providers() -> tuple[Provider, ...]:
    """The providers whose replies are documented."""
    found = []
    for name in PROVIDERS:
        document = _read(name)
        found.append(Provider(frozenset(document["names"]), re.compile(document["tells"]), _rules(document)))
    return tuple(found)


@cache
def common() -> tuple[Rule, ...]:
    """Phrases of servers of any make."""
    return _rules(_read("common"))


@cache
def by_status() -> Mapping[str, Rule]:
    """``subject.detail``, or a subject alone, to what it means."""
    return _table("status")


@cache
def by_reply() -> Mapping[str, Rule]:
    """A reply code to what it means by itself."""
    return _table("reply")


@cache
def actions() -> Mapping[Category, Action]:
    """What to do, by category."""
    return {Category(name): Action(action) for name, action in _read("actions")["categories"].items()}


@cache
def advice() -> Mapping[Action, str]:
    """Each action in a sentence."""
    return {Action(name): sentence for name, sentence in _read("actions")["actions"].items()}


def _table(name: str) -> dict[str, Rule]:
    document = _read("status")
    return {code: _rule({"category": category}, document) for code, category in document[name].items()}


def _rules(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    return tuple(_rule(entry, document) for entry in document["rules"])


def _rule(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Rule:
    category = Category(entry["category"])
    words = entry.get("words") or "|".join(entry.get("any", ()))
    return Rule(
        category,
        Action(entry["action"]) if "action" in entry else actions()[category],
        tuple(map(Codes.read, entry.get("status", ()))),
        re.compile(words) if words else None,
        document["source"],
        document["date"],
    )


def _read(name: str) -> dict[str, Any]:
    data = pkgutil.get_data(__package__, f"rules/{name}.toml")
    if data is None:
        raise LedgerError(f"rules/{name}.toml is not part of this installation")
    return tomllib.loads(data.decode())
