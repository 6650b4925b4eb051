"""The commands of a runbook, taken from the page itself and run one after the other, as an operator would.

What a page cannot know, say the folder of a backup, is told by ``words``. Everything else is as it stands there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.support import REPOSITORY, smtpctl

RUNBOOKS = REPOSITORY / "docs" / "runbooks"


def commands_of(page: Path) -> list[str]:
    """Commands of a page in their order: indented lines that begin with ``smtpctl``."""
    return re.findall(r"^ {4}smtpctl (.+)$", page.read_text(encoding="utf-8"), re.M)


@dataclass
class Walk:
    """A walk through one page. ``words`` are replaced by what is there in their place."""

    page: Path
    inventory: Path
    words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = commands_of(self.page)

    def run(self, begin: str, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the next command, with ``more`` in place of answers. It has to begin so, or the page was
        changed."""
        assert self.left, f"{self.page.name} has no more commands; {begin} was expected"
        line = self.left.pop(0)
        for word, here in self.words.items():
            line = line.replace(word, here)
        assert line.startswith(begin), f"{self.page.name}: {line!r}, not {begin!r}"
        arguments = [str(self.inventory) if word == "fleet.yml" else word for word in shlex.split(line, comments=True)]
        result = smtpctl(*arguments, *more, check=check, environment={"SMTPCTL_INVENTORY": str(self.inventory)})
        print(f"$ smtpctl {line}\n{result.stdout}{result.stderr}")  # pytest shows it of a walk that failed
        return result

    def done(self) -> None:
        """Every command of the page was run."""
        assert self.left == [], f"{self.page.name}: nobody ran {self.left}"
