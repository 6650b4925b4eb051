"""Reserves of the keys that the rules name are held from the start, and are held again after they were spent."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from policy_service.gcra import SECOND, shape
from policy_service.leases import NAMED_EVERY
from policy_service.reserves import named
from policy_service.rules_file import parse
from tests.policy_service.simulation import Faults, Fleet

LIMIT = shape(100_000, 3600, 1000, 2)


def limit(key: object, count: int = 100_000) -> dict[str, Any]:
    return {"key": key, "counted": "messages", "count": count, "per": 3600}


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        ([limit("credential")], ["credential:messages:3600:shop"]),
        ([limit("stream")], ["stream:messages:3600:t"]),
        ([limit(["stream", "credential"])], ["credential+stream:messages:3600:shop,t"]),
        # Too small for a reserve.
        ([limit("credential", 10)], []),
        # Nobody knows before a message comes.
        ([limit("sender"), limit("domain"), limit("client"), limit(["credential", "provider"])], []),
    ],
)
@pytest.mark.parametrize("mode", ["enforce", "off"])
def test_the_rules_name_keys_by_credential_and_stream(limits: list[Any], names: list[str], mode: str) -> None:
    rules = {
        "version": 1,
        "hosts": ["edge1", "edge2"],
        "streams": {"t": {"filter": "x:y"}},
        "credentials": {"shop": {"senders": ["shop.test"], "stream": "t", "limits": limits}},
        "rules": {"quota": mode},
    }
    assert [name for name, _, _ in named(parse(json.dumps(rules)), 0.0)] == (names if mode == "enforce" else [])


def fleet_that_stands_by() -> Fleet:
    fleet = Fleet({"a": LIMIT}, 2, random.Random(1), Faults())
    for member in fleet.members:
        member.book.stand_by(lambda: [("a", LIMIT, "a")])
    fleet.advance(SECOND)
    return fleet


def all_of_the_reserve(fleet: Fleet) -> int:
    """What process 0 lets pass, cut off from the truth."""
    fleet.cut_off = {0}
    before = fleet.granted
    for _ in range(LIMIT.reserve + 100):
        fleet.send(0, {"a": 1})
    fleet.advance(2 * SECOND)
    return fleet.granted - before


def test_the_first_message_of_all_passes_though_the_truth_has_gone() -> None:
    fleet = fleet_that_stands_by()
    assert all_of_the_reserve(fleet) == LIMIT.reserve


def test_a_reserve_is_taken_again_when_the_truth_is_back_and_held_for_hours_without_a_message() -> None:
    fleet = fleet_that_stands_by()
    all_of_the_reserve(fleet)
    fleet.cut_off = set()
    # The limit has to have room for it first.
    fleet.advance(3 * NAMED_EVERY)
    for hour in range(1, 4):
        fleet.advance(3600 * SECOND)
        assert len(fleet.members[0].book.keys) + len(fleet.members[0].book.idle) == 1, hour
    assert all_of_the_reserve(fleet) == LIMIT.reserve
