"""A walk-through of docs/operations.md, as it stands there: every command, on six hosts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.support import INVENTORY, REPOSITORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PAGE = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


COMMAND = re.compile(r"^    ((?:smtpctl|journalctl|ls|python3|cat) .+)$", re.M)


def shown(heading: str) -> list[str]:
    """The commands that a section of the page shows, without their comments."""
    (section,) = re.findall(rf"^## {heading}$(.*?)^## ", PAGE, re.M | re.S)
    return [shlex.join(shlex.split(line, comments=True)) for line in COMMAND.findall(section)]


class Desk:
    """A folder with fleet.yml and its secrets, in which commands are given as an operator gives them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "fleet.yml"
        self.inventory.write_text(INVENTORY.read_text())
        (folder / "fleet.secrets.age").write_bytes(INVENTORY.with_suffix(".secrets.age").read_bytes())

    def change(self, old: str, new: str) -> None:
        text = self.inventory.read_text()
        assert old in text
        self.inventory.write_text(text.replace(old, new))

    def give(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the page; whatever it asks is answered with yes."""
        words = shlex.split(line)
        assert words[0] == "smtpctl"
        command = [sys.executable, "-m", *words]
        return subprocess.run(command, cwd=self.folder, input="y\n", capture_output=True, text=True, check=False)


@pytest.fixture
def desk(applied: AppliedFleet, tmp_path: Path) -> Iterator[Desk]:
    smtpctl("apply", str(INVENTORY), "--yes", "--take-over")  # whatever other tests left
    yield Desk(tmp_path)
    smtpctl("apply", str(INVENTORY), "--yes", "--take-over")


def test_the_change(applied: AppliedFleet, desk: Desk) -> None:
    commands = shown("Walk-through: the change")
    desk.change("mx: [outlook.test], connections: 10", "mx: [outlook.test], connections: 7")
    assert commands[:3] == [
        "smtpctl validate fleet.yml",
        "smtpctl plan fleet.yml --out friday.plan",
        "smtpctl apply friday.plan",
    ]
    assert desk.give(commands[0]).returncode == 0
    assert "relay1, relay2: microsoft connections 10 → 7; reload postfix@" in desk.give(commands[1]).stdout
    done = desk.give(commands[2])
    assert (done.returncode, done.stdout.count(" applied ")) == (0, 2), done.stderr

    desk.change("mx: [outlook.test], connections: 7", "mx: [outlook.test], connections: 8")
    assert commands[3:6] == [
        "smtpctl apply fleet.yml",
        "smtpctl apply fleet.yml --host relay1",
        "smtpctl apply fleet.yml",
    ]
    one = desk.give(commands[4])
    assert (one.returncode, one.stdout.count(" applied ")) == (0, 1), one.stderr
    rest = desk.give(commands[5])
    assert (rest.returncode, rest.stdout.count(" applied ")) == (0, 1), rest.stderr
    assert desk.give(commands[3]).stdout == "no changes: 6 hosts are as they should be\n"

    applied.lab.run("relay2", ["sh", "-c", "echo '# by hand' >> /etc/postfix-transactional/main.cf"])
    refused = desk.give(commands[5])
    assert (refused.returncode, "edited by hand on the host: /etc/postfix-transactional/main.cf" in refused.stderr) == (
        1,
        True,
    )
    assert commands[6:] == ["smtpctl apply fleet.yml --take-over"]
    assert desk.give(commands[6]).returncode == 0
