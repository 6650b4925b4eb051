"""Suppressed recipients and held credentials: kept in the database, followed by every host, given up by hand."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from policy_service.follow import numbers
from policy_service.standing import MOST_CHANGES, Standing, digest
from tests.policy_service.daemons import ROOT, Client, Daemon, running

RULES = Path(__file__).parent / "dialogues" / "rules.json"


def test_a_list_with_its_changes_is_what_it_says() -> None:
    standing = Standing()
    standing.load(b"", sorted(digest(b"", b"%d@a.test" % number) for number in range(100)))
    assert standing.suppressed(b"7@A.TEST")
    standing.change(digest(b"", b"7@a.test"), suppressed=False)
    for number in range(100, 110 + MOST_CHANGES):
        standing.change(digest(b"", b"%d@a.test" % number), suppressed=True)
    assert not standing.suppressed(b"7@a.test")
    assert standing.suppressed(b"8@a.test")
    assert standing.suppressed(b"%d@a.test" % (109 + MOST_CHANGES))
    assert not standing.suppressed(b"%d@a.test" % (110 + MOST_CHANGES))
    assert len(standing) == 109 + MOST_CHANGES


def test_hashes_become_numbers_of_their_first_eight_bytes() -> None:
    assert list(numbers(bytes(range(32)))) == [0x0001020304050607, 0x1011121314151617]


@pytest.fixture
def hosts(tmp_path: Path, conninfo: str) -> Iterator[list[tuple[Daemon, Client]]]:
    listen = [f"unix:{tmp_path}/s{number}" for number in (1, 2)]
    command = ["serve", "--rules", str(RULES), "--database", conninfo]
    with (
        running(tmp_path / "one", *command, "--listen", listen[0], "--name", "edge1") as one,
        running(tmp_path / "two", *command, "--listen", listen[1], "--name", "edge2") as two,
    ):
        clients = [Client(tmp_path / "s1"), Client(tmp_path / "s2")]
        yield [(one, clients[0]), (two, clients[1])]
        for client in clients:
            client.close()


def answered(client: Client, recipient: str, words: str) -> None:
    """Wait until the answer about ``recipient`` begins so."""
    end = time.monotonic() + 60
    while not (answer := about(client, recipient)).startswith(words):
        assert time.monotonic() < end, answer
        # A good one between them, so that asking again and again is no row of bad ones.
        about(client, "here@gmail.test")
        time.sleep(0.2)


def about(client: Client, recipient: str) -> str:
    return client.ask("RCPT", sasl_username="shop", sender="a@shop.test", recipient=recipient)


@pytest.mark.postgres
def test_every_host_follows_suppressions_and_holds(conninfo: str, hosts: list[tuple[Daemon, Client]]) -> None:
    (one, first), (_, second) = hosts
    with psycopg.connect(conninfo, autocommit=True) as connection:
        changed = connection.execute("SELECT quota.suppress('{Gone@Gmail.Test,lost@gmail.test}')").fetchone()
        assert changed == (2,)
        stored = connection.execute("SELECT recipient FROM quota.suppression").fetchall()
        assert all(len(recipient) == 16 for (recipient,) in stored)
        for client in (first, second):
            answered(client, "gone@gmail.test", "554 5.7.1 This recipient is suppressed")
            assert about(client, "here@gmail.test") == "DUNNO"
        connection.execute("SELECT quota.suppress('{gone@gmail.test}', false)")
        answered(second, "gone@gmail.test", "DUNNO")
        for _ in range(3):
            about(first, "lost@gmail.test")
        assert about(first, "here@gmail.test") == "HOLD Credential shop is held"
        answered(second, "here@gmail.test", "HOLD")
        assert any("incident kind=invalid-recipients severity=critical credential=shop" in line for line in one.lines)
        assert not any("lost@" in line for line in one.lines)
    command = [sys.executable, "-m", "policy_service", "quota", "--rules", str(RULES), "--database", conninfo]
    shown = subprocess.run([*command, "show"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "held:shop: held until" in shown.stdout
    subprocess.run([*command, "reset", "held:shop"], cwd=ROOT, capture_output=True, check=True)
    for client in (first, second):
        answered(client, "here@gmail.test", "DUNNO")
