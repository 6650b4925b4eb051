"""What a draft says besides the inventory: guesses in it, and what it could not express."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Left:
    """Something of the host that the inventory does not say: what, why not, and what to do. Never a secret."""

    instance: str
    subject: str
    value: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter that smtpctl sets by itself, where the host has another value: the fleet's own way."""

    instance: str
    becomes: str
    parameter: str
    was: str
    will_be: str


@dataclass(slots=True)
class Notes:
    """Collected while a draft is made. ``comments`` stand above a key of the inventory, by its path."""

    comments: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def guess(self, path: tuple[str, ...], words: str) -> None:
        """Say that a key was guessed."""
        self.comments.setdefault(path, []).append(f"GUESS: {words}")

    def comment(self, path: tuple[str, ...], words: str) -> None:
        """Say where a key comes from."""
        self.comments.setdefault(path, []).append(words)

    def leave(self, instance: str, subject: str, value: str, why: str, remedy: str) -> None:
        """Say that something is not in the draft."""
        self.left.append(Left(instance, subject, value, why, remedy))


@dataclass(frozen=True, slots=True)
class Draft:
    """An inventory as plain values, and everything there is to say about it."""

    inventory: dict[str, Any]
    notes: Notes
    #: New instances by the directory of the one that they take the place of: ("submission", pool...).
    successors: dict[str, tuple[str, ...]]
    #: Providers by (directory, transport) that they were.
    providers: dict[tuple[str, str], str]
