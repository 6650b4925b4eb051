"""The guard of a host: who guesses passwords, what comes into a log, which files and keys changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smtpctl.operate.host import lockout
from smtpctl.operate.host.brute_force import FAILURES, WINDOW, Guessers
from smtpctl.operate.host.tail import Tail
from smtpctl.operate.host.watched import OwnedFiles
from smtpctl.transport.agent.pauses import FORGOTTEN, PauseFolder
from smtpctl.transport.agent.store import Store

HEAD = b"2026-11-22T08:00:00.000000+00:00 edge1 postfix-submission/submission/smtpd[1]: warning: "


def failed(address: str) -> bytes:
    return HEAD + f"unknown[{address}]: SASL PLAIN authentication failed: (reason unavailable)".encode()


def guesses(guessers: Guessers, line: bytes, times: list[float]) -> list[str | None]:
    return [guessers.read(line, now) for now in times]


def test_who_fails_too_often_in_a_while_is_named_once() -> None:
    times = [float(second) for second in range(FAILURES + 1)]
    answers = guesses(Guessers([]), failed("192.0.2.9"), times)
    assert answers == [*[None] * (FAILURES - 1), "192.0.2.9", None]


@pytest.mark.parametrize(
    ("line", "times"),
    [
        (failed("192.0.2.9"), [WINDOW * number / (FAILURES - 2) for number in range(FAILURES + 5)]),  # too slow
        (failed("10.78.0.11"), [0.0] * 100),  # the fleet's own
        (failed("2001:db8:1::7"), [0.0] * 100),  # an operator's
        (failed("not an address"), [0.0] * 100),
        (HEAD + b"unknown[192.0.2.9]: SASL PLAIN authentication succeeded", [0.0] * 100),
        (b"2026-11-22T08:00:00+00:00 edge1 evil: x[192.0.2.9]: SASL PLAIN authentication failed", [0.0] * 100),
    ],
)
def test_nobody_else_is_named(line: bytes, times: list[float]) -> None:
    assert set(guesses(Guessers(["10.78.0.0/16", "2001:db8:1::/48"]), line, times)) == {None}


def test_an_address_in_another_family_of_forms_is_the_same() -> None:
    answers = guesses(Guessers([]), failed("2001:DB8:0::7"), [0.0] * FAILURES)
    assert answers[-1] == "2001:db8::7"


def test_new_lines_are_read_over_rotation_and_truncation(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"old\n")
    tail = Tail(log)
    assert list(tail.lines()) == []
    with log.open("ab") as file:
        file.write(b"one\ntw")
    assert list(tail.lines()) == [b"one"]
    with log.open("ab") as file:
        file.write(b"o\n")
    log.rename(tmp_path / "mail.log.1")
    log.write_bytes(b"three\n")
    read = [line for _ in range(3) for line in tail.lines()]
    assert read == [b"two", b"three"]
    log.write_bytes(b"4\n")
    assert [line for _ in range(3) for line in tail.lines()] == [b"4"]
    tail.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A host whose revision has one file."""
    store = Store(tmp_path / "state")
    store.prepare()
    (tmp_path / "owned").write_text("as rendered")
    name = store.put(b"as rendered")
    record = {"number": 1, "revision": "abc", "files": {str(tmp_path / "owned"): {"sha256": name}}}
    (store.revisions / "000001-abc.json").write_text(json.dumps(record))
    return store


def test_a_file_that_was_edited_is_said_once(store: Store, tmp_path: Path) -> None:
    files = OwnedFiles(store)
    assert [*files.look(), *files.look()] == []
    (tmp_path / "owned").write_text("by hand")
    said = [noticed for _ in range(4) for noticed in files.look()]
    assert [(noticed.kind, noticed.subject, noticed.text) for noticed in said] == [
        ("changed-by-hand", str(tmp_path / "owned"), "was edited")
    ]
    (tmp_path / "owned").write_text("as rendered")
    assert [*files.look(), *files.look()] == []
    (tmp_path / "owned").unlink()
    assert [noticed.text for _ in range(2) for noticed in files.look()] == ["was removed"]


def test_an_apply_that_is_under_way_is_no_change_by_hand(store: Store, tmp_path: Path) -> None:
    files = OwnedFiles(store)
    store.journal_file.write_text("{}")
    (tmp_path / "owned").write_text("of the next revision")
    assert [*files.look(), *files.look(), *files.look()] == []


def record(address: str, since: float, until: float | None, identity: str = "a") -> dict[str, Any]:
    return {"id": identity, "kind": "client", "value": address, "since": since, "until": until, "ended": None,
            "scope": {"clients": [address]}}  # fmt: skip


def test_an_address_is_locked_out_as_long_as_its_last_pause() -> None:
    records = [record("192.0.2.9", 0, 100.0), record("192.0.2.9", 0, 200.0), record("2001:db8::1", 0, None)]
    assert lockout.wanted(records, 50.0) == {"192.0.2.9": 151, "2001:db8::1": lockout.AT_MOST}


def test_lock_outs_are_forgotten_soon_after_their_end(tmp_path: Path) -> None:
    folder = PauseFolder(tmp_path / "pauses")
    ended = record("192.0.2.9", 0, 100.0, "ended")
    paused = {**ended, "id": "pool", "kind": "pool", "scope": {"pools": ["x"]}}
    assert len(folder.add([ended, paused], 200.0)) == 2
    assert [known["id"] for known in folder.add([], 100.0 + FORGOTTEN + 1)] == ["pool"]
