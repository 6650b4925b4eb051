"""Rule: a credential that names one suppressed recipient after the other is held, and an incident is raised.

A list that somebody bought, or guesses, looks like that; an application that knows its customers does not. Counted in a
row, by credential, in each process: one recipient that is none of those begins anew.
"""

from __future__ import annotations

from policy_service.ruleset import InvalidRecipients

NAME = "invalid-recipients"
DESCRIPTION = "The credential does not name one invalid recipient after the other."


class Streaks:
    """How many invalid recipients each credential named in a row."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def valid(self, credential: str) -> None:
        """A recipient that is not suppressed."""
        self._counts.pop(credential, None)

    def invalid(self, credential: str, setting: InvalidRecipients | None) -> int:
        """A suppressed recipient. Returns the length of the row when it has just become too long, else 0."""
        if setting is None:
            return 0
        count = self._counts.get(credential, 0) + 1
        if count < setting.in_a_row:
            self._counts[credential] = count
            return 0
        self.valid(credential)
        return count
