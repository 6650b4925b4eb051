"""What is wrong with an inventory: a finding names a part of it, a problem names the line and column in the file.

Nothing here reads a file or prints; the command line decides how problems look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from smtpctl.errors import InventoryError

#: Keys and list indexes (from 0) that lead from the top of the inventory to a part of it.
Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong at ``path``. ``at_key``: the key itself is wrong, not what stands behind it."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, where (both from 1), and its remedy in one sentence."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{place}\nHINT: {self.hint}" if self.hint else place


class InventoryProblems(InventoryError):  # noqa: N818 - it is a set of problems, not one error
    """The inventory has problems; ``problems`` holds all of them, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        heading = f"{self.problems[0].file} has {count} problem{'s' if count > 1 else ''}"
        super().__init__("\n".join([heading, *map(str, self.problems)]))


def path_text(path: Path) -> str:
    """The path as people write it: ``hosts.relay1.sources[0]``, ``domains.sending["shop.test"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text
