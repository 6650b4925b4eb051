"""The walk-throughs of docs/operations.md, as they stand there: every command, in its order, on six hosts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


def connections(applied: AppliedFleet, host: str) -> str:
    """How many connections a relay makes to microsoft at once."""
    found = applied.lab.run(host, ["postconf", "-c", "/etc/postfix-transactional"], check=False).stdout
    return "".join(re.findall(r"microsoft\S*_destination_concurrency_limit = (\d+)", found)[:1])


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


def test_the_emergency_rollback(applied: AppliedFleet, desk: Desk) -> None:
    commands = shown("Walk-through: the emergency rollback")
    before = connections(applied, "relay1")
    assert before
    desk.change("mx: [outlook.test], connections: 10", "mx: [outlook.test], connections: 7")
    assert desk.give("smtpctl apply fleet.yml").returncode == 0
    assert commands[:3] == [
        "smtpctl rollback -i fleet.yml",
        "smtpctl apply fleet.yml",
        "smtpctl rollback relay1 -i fleet.yml",
    ]
    back = desk.give(commands[0])
    assert [line.split()[:2] for line in back.stdout.splitlines()[-2:]] == [
        ["relay1", "applied"],
        ["relay2", "applied"],
    ]
    assert smtpctl("plan", str(INVENTORY), "--exit-code").returncode == 0
    assert desk.give(commands[1]).returncode == 0
    one = desk.give(commands[2])
    assert one.stdout.splitlines()[-1].split()[:2] == ["relay1", "applied"]
    assert connections(applied, "relay1") == before

    assert commands[3] == "smtpctl history relay1 -i fleet.yml"
    kept = [line.split() for line in desk.give(commands[3]).stdout.splitlines()]
    assert (kept[-1][6], kept[-1][-1]) == ("rollback,", "kept")
    assert commands[4:] == ["smtpctl rollback relay1 12 -i fleet.yml"]
    again = desk.give(commands[4].replace("12", kept[-2][1]))
    assert (again.returncode, again.stdout.splitlines()[-1].split()[:2]) == (0, ["relay1", "applied"]), again.stderr


def test_the_locked_out_host(applied: AppliedFleet, desk: Desk) -> None:
    commands = shown("Walk-through: the locked-out host")
    desk.change("management: [10.78.0.1/32]", "management: [10.78.0.99/32]")
    assert commands[:3] == [
        "smtpctl apply fleet.yml --host edge1",
        "smtpctl history edge1 -i fleet.yml",
        "smtpctl plan fleet.yml --host edge1",
    ]
    refused = desk.give(commands[0])
    assert refused.returncode == 1
    assert "no new connection after the change" in refused.stderr
    assert "led back: no new connection" in desk.give(commands[1]).stdout.splitlines()[-1]
    assert "/etc/nftables.conf" in desk.give(commands[2]).stdout

    _lock_out_for_good(applied, desk, commands[0])
    log, look, rescue, reasons = commands[3:]
    assert "journal.json" in console(applied, look)
    assert desk.give(commands[2]).returncode == 1
    console(applied, rescue)
    assert "journal.json" not in console(applied, look)
    assert "led back to" in console(applied, log)
    assert '"reason":"recovery was asked for"' in console(applied, reasons)
    assert desk.give(commands[2]).returncode == 0


def console(applied: AppliedFleet, line: str) -> str:
    """Run a line of the page on the host's console."""
    return applied.lab.run("edge1", ["sh", "-c", line.replace("'", "")]).stdout


def _lock_out_for_good(applied: AppliedFleet, desk: Desk, line: str) -> None:
    """A host that cannot lead itself back: its agent and its timer are gone, and so is the controller."""
    command = [sys.executable, "-m", *shlex.split(line), "--yes"]
    with subprocess.Popen(command, cwd=desk.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as controller:
        closed = "nft list ruleset | grep -q 10.78.0.99 && systemctl stop smtpctl-undo.timer"
        _until(lambda: applied.lab.run("edge1", ["sh", "-c", closed], check=False).returncode == 0)
        controller.kill()
    applied.lab.run("edge1", ["pkill", "-9", "-f", "smtpctl_agent"], check=False)


def _until(condition: Callable[[], bool], patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not so after {patience} s"
        time.sleep(0.1)
