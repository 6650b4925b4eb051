"""What a check over the whole fleet is: a function from a Fleet to findings, and the sections that it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smtpctl.inventory.problems import Finding
from smtpctl.model.fleet import Fleet

Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule. ``reads`` names every section of the inventory that ``find`` looks at: it is not asked when one of
    them has problems of its own."""

    reads: tuple[str, ...]
    find: Callable[[Fleet], Findings]

    @property
    def name(self) -> str:
        return self.find.__name__

    @property
    def rule(self) -> str:
        """The rule in words, for the reference page."""
        return " ".join((inspect.getdoc(self.find) or "").split())


def reads(*sections: str) -> Callable[[Callable[[Fleet], Findings]], Check]:
    """Make a function a Check that reads ``sections``."""
    return lambda find: Check(sections, find)
