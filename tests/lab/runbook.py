"""The commands of a page, taken from the page itself and run one after the other, as an operator would.

What a page cannot know, say the folder of a backup, is told by ``words``. Everything else is as it stands there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.lab.support import REPOSITORY, smtpctl

RUNBOOKS = REPOSITORY / "docs" / "runbooks"


@dataclass
class Walk:
    """A walk through one page, or one ``section`` of it. ``words`` are replaced by what is there in their place."""

    page: Path
    inventory: Path
    words: Mapping[str, str] = field(default_factory=dict)
    section: str = ""

    def __post_init__(self) -> None:
        text = self.page.read_text(encoding="utf-8")
        if self.section:
            parts = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
            text = parts[self.section]
        for word, here in self.words.items():
            text = text.replace(word, here)
        self.text = text
        #: Commands in their order: indented lines that begin with ``smtpctl``.
        self.left = re.findall(r"^ {4}smtpctl (.+)$", text, re.M)

    def edit(self) -> None:
        """Put what the page shows as YAML into the inventory."""
        found = re.findall(r"^```yaml\n(.*?)^```", self.text, re.M | re.S)
        assert found, f"{self.page.name} shows no edit"
        inventory = yaml.safe_load(self.inventory.read_text(encoding="utf-8"))
        for text in found:
            inventory = _merged(inventory, yaml.safe_load(text))
        self.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False), encoding="utf-8")

    def run(self, begin: str, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the next command, with ``more`` in place of answers. It has to begin so, or the page was
        changed."""
        assert self.left, f"{self.page.name} has no more commands; {begin} was expected"
        line = self.left.pop(0)
        assert line.startswith(begin), f"{self.page.name}: {line!r}, not {begin!r}"
        arguments = [str(self.inventory) if word == "fleet.yml" else word for word in shlex.split(line, comments=True)]
        began = time.monotonic()
        result = smtpctl(*arguments, *more, check=check, environment={"SMTPCTL_INVENTORY": str(self.inventory)})
        # pytest shows it of a walk that failed
        print(f"$ smtpctl {line}  # {time.monotonic() - began:.1f} s\n{result.stdout}{result.stderr}")
        return result

    def other_commands(self, program: str) -> Iterator[list[str]]:
        """What the page shows of another program than smtpctl."""
        for line in re.findall(rf"^ {{4}}({program} .+)$", self.text, re.M):
            yield shlex.split(line)

    def done(self) -> None:
        """Every command of the page was run."""
        assert self.left == [], f"{self.page.name}: nobody ran {self.left}"


def _merged(old: Any, new: Any) -> Any:
    """``new`` over ``old``: mappings by key, lists after one another."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
    return [*old, *new] if isinstance(old, list) and isinstance(new, list) else new
