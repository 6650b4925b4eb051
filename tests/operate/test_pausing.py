"""Pauses in the fleet's words, and what each means to the daemons and queues of a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smtpctl.errors import UsageError
from smtpctl.inventory import load_fleet
from smtpctl.operate.pausing import ALL, KINDS, Pressed, current, ended, record_of, words

FLEET = load_fleet(Path(__file__).resolve().parents[2] / "inventory" / "lab.yml")


def record(kind: str, value: str, *, refuse: bool = False) -> dict[str, Any]:
    return record_of(Pressed(kind, value, refuse, "ann@desk", "why", since=1000.0), FLEET, "1")


@pytest.mark.parametrize(
    ("kind", "value", "scope", "queued"),
    [
        (ALL, "", {"everything": True}, {}),
        ("credential", "shop", {"credentials": ["shop"]}, {"submission": {"credential": ["shop"]}}),
        ("stream", "marketing", {"pools": ["marketing"]}, {}),
        ("pool", "marketing", {"pools": ["marketing"]}, {}),
        ("provider", "default", {"providers": ["default"]}, {}),
        ("source", "10.78.2.5", {"sources": ["10.78.2.5"]}, {}),
        (
            "sender-domain",
            "shop.test",
            {"senders": ["@shop.test", "@bounce.shop.test"]},
            {"*": {"sender": ["@shop.test", "@bounce.shop.test"]}},
        ),
        (
            "campaign",
            "X-Campaign: spring",
            {"headers": [["X-Campaign", "spring"]]},
            {"*": {"header": [["X-Campaign", "spring"]]}},
        ),
    ],
)
def test_each_kind_says_what_it_is_about(kind: str, value: str, scope: dict[str, Any], queued: dict[str, Any]) -> None:
    found = record(kind, value)
    assert (found["scope"], found["queued"]) == (scope, queued)


def test_a_stream_that_shares_its_pool_waits_where_it_is_submitted() -> None:
    streams = {**FLEET.streams, "alerts": FLEET.streams["transactional"]}
    shared = replace(FLEET, streams=streams)
    found = record_of(Pressed("stream", "transactional", False, "a", "", since=0.0), shared, "1")
    assert found["scope"] == {"streams": ["transactional"]}
    assert found["queued"] == {"submission": {"credential": ["shop", "trickle"]}}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("sender-domain",)])
def test_what_the_inventory_does_not_have_cannot_be_paused(kind: str) -> None:
    with pytest.raises(UsageError):
        record(kind, "nothing-of-ours")


@pytest.mark.parametrize(("kind", "value"), [("provider", "google"), ("source", "10.78.2.5")])
def test_what_is_chosen_on_the_relay_can_only_wait(kind: str, value: str) -> None:
    with pytest.raises(UsageError, match="can only wait"):
        record(kind, value, refuse=True)


def test_a_pause_is_in_force_until_somebody_ends_it() -> None:
    one = record("pool", "marketing")
    assert current([one, one], 2000.0) == [one]
    assert words(one) == "pool marketing"
    assert current([ended(one, 1500.0, "bob@desk")], 2000.0) == []
