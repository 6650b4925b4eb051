"""The pauses that a host keeps: they merge in one way only, whichever hosts meet in whichever order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpctl.transport.agent.pauses import REMEMBERED, PauseFolder, in_force, merge


def record(identity: str, ended: float | None = None, **members: Any) -> dict[str, Any]:
    return {"id": identity, "since": float(ord(identity)), "until": None, "ended": ended, "ended_by": "", **members}


#: States of a host: of each of four pauses it knows nothing, that it was begun, or that it was ended at some time.
states = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([None, 200.0, 300.0])).map(
    lambda known: [record(identity, ended) for identity, ended in sorted(known.items())]
)


#: How long a busy machine takes over an example says nothing about these.
unhurried = settings(max_examples=50)


@unhurried
@given(st.lists(states, min_size=1, max_size=3))
def test_hosts_end_in_the_same_state_whatever_the_order(hosts: list[list[dict[str, Any]]]) -> None:
    results = []
    for order in itertools.permutations(hosts):
        state: list[dict[str, Any]] = []
        for other in order:
            state = merge(state, other)
        results.append(state)
    assert all(result == results[0] for result in results)
    assert merge(results[0], results[0]) == results[0]


@unhurried
@given(states, states)
def test_nothing_that_was_pressed_is_forgotten_and_nothing_ended_begins_again(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    merged = {item["id"]: item for item in merge(one, other)}
    assert set(merged) == {item["id"] for item in (*one, *other)}
    for item in (*one, *other):
        assert item["ended"] is None or merged[item["id"]]["ended"] is not None


def test_a_record_is_in_force_from_its_beginning_to_its_end() -> None:
    assert in_force(record("a"), 1000.0)
    assert not in_force(record("a", ended=200.0), 1000.0)
    assert not in_force(record("a", until=500.0), 500.0)
    assert not in_force(record("a"), 0.0)


def test_the_file_keeps_what_is_in_force_and_forgets_what_ended_long_ago(tmp_path: Path) -> None:
    folder = PauseFolder(tmp_path / "new")
    now = 1000.0 + REMEMBERED
    folder.add([record("a"), record("b", ended=900.0), record("c", ended=now - 1)], now)
    assert [item["id"] for item in PauseFolder(tmp_path / "new").read()] == ["a", "c"]
    assert (tmp_path / "new" / "pauses.json").stat().st_mode & 0o777 == 0o644


def test_what_a_pause_put_on_hold_is_remembered_by_instance_until_it_is_released(tmp_path: Path) -> None:
    folder = PauseFolder(tmp_path)
    folder.note_held("a", "marketing", ["4jX1", "4jX2"])
    folder.note_held("a", "submission", ["4jX3"])
    assert folder.held("a") == {"marketing": ["4jX1", "4jX2"], "submission": ["4jX3"]}
    assert folder.held("b") == {}
    folder.forget_held("a")
    assert folder.held("a") == {}
