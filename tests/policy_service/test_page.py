"""The page's way to a service on its own, walked: its rules file, its commands in their order, its lines of main.cf."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest

from tests.policy_service.daemons import ROOT, Client, Daemon, running

if TYPE_CHECKING:
    from tests.conftest import Cluster

PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## With a Postfix that smtpctl does not manage")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", SECTION, re.DOTALL)
(RULES,) = [text for kind, text in BLOCKS if kind == "json"]
(MAIN,) = [text for _, text in BLOCKS if text.startswith("smtpd_recipient_restrictions")]
ALONE, SHARED = [text.replace("\\\n", " ").splitlines() for kind, text in BLOCKS if kind == "sh"]

QUEUE = "/var/spool/postfix"
ACCEPTED = "FILTER relay:[127.0.0.1]:10025"
RECIPIENTS = 101


class Walk:
    """The page's commands, with a queue directory, a rules file and a database of the test's own."""

    def __init__(self, folder: Path, conninfo: str = "") -> None:
        self._folder = folder
        self._conninfo = conninfo
        (folder / "policy.json").write_text(RULES, encoding="utf-8")
        # Where smtpd connects to: main.cf's path is below the queue directory.
        (self.socket,) = {folder / "queue" / path for path in re.findall(r"unix:([\w/.]+), timeout", MAIN)}

    def words(self, line: str) -> list[str]:
        """A command of the page as it is run here."""
        line = line.replace(QUEUE, str(self._folder / "queue")).replace(" policy.json", f" {self._folder}/policy.json")
        words = [re.sub("^dbname=quotas$|(?<=--dbname=)quotas$", self._conninfo, word) for word in shlex.split(line)]
        return [sys.executable, *words[1:]] if words[0] == "python3" else words

    def run(self, line: str) -> str:
        """Run a command to its end; what it prints."""
        ended = subprocess.run(self.words(line), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def service(self, line: str) -> list[str]:
        """The arguments of the command that starts the service."""
        python, option, module, *arguments = self.words(line)
        assert [python, option, module] == [sys.executable, "-m", "policy_service"]
        return arguments

    def asked(self) -> None:
        """What smtpd asks about a message, and one of somebody else's."""
        client = Client(self.socket)
        who = {"sasl_username": "shop", "sender": "orders@shop.example"}
        assert client.ask("RCPT", **who, recipient="ada@example.org", instance="1.1") == "DUNNO"
        answers = (client.ask("DATA", **who, recipient_count=1, instance=f"1.1.{number}") for number in range(100))
        # A database of a busy machine may need more than the 250 ms that a reply is promised within.
        assert next(answer for answer in answers if "not available now" not in answer) == ACCEPTED
        assert client.ask("DATA", **who, recipient_count=RECIPIENTS, instance="1.2").startswith("554 5.7.1 101 recip")
        other = client.ask("RCPT", **{**who, "sender": "a@other.example"}, recipient="ada@example.org", instance="1.3")
        assert other == "REJECT 5.7.1 Credential shop may not send as other.example"
        client.close()


def said(daemon: Daemon, words: str) -> None:
    """Return when the service has logged these words."""
    end = monotonic() + 30
    while not any(words in line for line in daemon.lines):
        assert monotonic() < end, f"{words!r} is not in {daemon.lines}"
        sleep(0.02)


def test_a_service_on_its_own_without_a_database(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    directory, check, serve = ALONE
    for line in (directory, check):
        walk.run(line)
    with running(tmp_path / "daemon", *walk.service(serve)) as daemon:
        walk.asked()
        # What is beyond every limit is refused all the same where a rule only looks.
        said(daemon, "would-decide rule=recipients")
        said(daemon, "no-database")


@pytest.mark.postgres
def test_a_service_on_its_own_with_a_database(
    tmp_path: Path, postgres: Cluster, new_database: Callable[[], str]
) -> None:
    walk = Walk(tmp_path, postgres.conninfo(new_database()))
    schema, serve, explain, quota = SHARED
    walk.run(ALONE[0])
    walk.run(schema)
    with running(tmp_path / "daemon", *walk.service(serve)) as daemon:
        said(daemon, "database-connected")
        walk.asked()
        assert not any("no-reserve" in line for line in daemon.lines)
        assert f"answer: {ACCEPTED}" in walk.run(explain)
        levels = json.loads(walk.run(f"{quota} --json"))["quotas"]
    assert "credential:recipients:3600:shop" in [level["key"] for level in levels]
