"""What is paused: the file, which mail it concerns where, and the answers that follow."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from policy_service import fresh_file, pauses
from policy_service.pauses import PauseFile, parse

NOW = 1_800_000_000.0


def record(**members: Any) -> dict[str, Any]:
    base = {"id": "1", "kind": "k", "value": "v", "action": "wait", "since": NOW, "until": None, "ended": None}
    return {**base, "scope": {}, **members}


def of(*records: dict[str, Any]) -> pauses.Pauses:
    return parse(json.dumps({"version": 1, "pauses": records}))


@pytest.mark.parametrize(
    ("scope", "action", "concerned"),
    [
        ({"credentials": ["shop"]}, "wait", True),
        ({"credentials": ["news"]}, "wait", False),
        ({"streams": ["transactional"]}, "wait", True),
        ({"senders": ["@shop.test"]}, "wait", True),
        ({"senders": ["@bounce.shop.test"]}, "wait", False),
        # these wait on the relays, unless they are to be refused
        ({"pools": ["transactional"]}, "wait", False),
        ({"pools": ["transactional"]}, "refuse", True),
        ({"everything": True}, "wait", False),
        ({"everything": True}, "refuse", True),
        ({"providers": ["google"]}, "wait", False),
    ],
    ids=str,
)
def test_which_pauses_concern_a_message_when_it_is_submitted(
    scope: dict[str, Any], action: str, concerned: bool
) -> None:
    known = of(record(scope=scope, action=action))
    found = pauses.submission(known, "shop", "transactional", "transactional", "Orders@Shop.test")
    assert (found is not None) is concerned


def test_a_pause_that_refuses_goes_before_one_that_lets_wait() -> None:
    both = of(
        record(scope={"credentials": ["shop"]}, action="refuse"), record(id="2", scope={"senders": ["@shop.test"]})
    )
    for order in (both, both[::-1]):
        found = pauses.submission(order, "shop", "transactional", "transactional", "a@shop.test")
        assert found is not None and found.refuse


@pytest.mark.parametrize(
    ("scope", "concerned"),
    [
        ({"pools": ["marketing"]}, True),
        ({"pools": ["transactional"]}, False),
        ({"providers": ["google"]}, True),
        ({"sources": ["10.78.2.3"]}, True),
        ({"sources": ["10.78.2.1"]}, False),
        ({"everything": True}, True),
        ({"credentials": ["shop"], "senders": ["@shop.test"], "headers": [["A", "b"]]}, False),
    ],
    ids=str,
)
def test_which_pauses_concern_what_a_relay_would_send(scope: dict[str, Any], concerned: bool) -> None:
    assert pauses.outgoing(of(record(scope=scope)), "marketing", "google", "10.78.2.3") is concerned


def test_a_campaign_is_known_by_a_header_whatever_its_case_and_folding() -> None:
    known = of(record(scope={"headers": [["X-Campaign", "Spring Sale"]]}))
    assert pauses.campaign(known, [(b"Subject", b"x"), (b"x-campaign", b" spring\r\n  sale")]) is not None
    assert pauses.campaign(known, [(b"X-Campaign", b"Spring Sale 2")]) is None


def test_pauses_that_have_ended_or_run_out_stop_nothing() -> None:
    assert of(record(ended=NOW + 1)) == ()
    (pause,) = of(record(until=NOW + 60))
    assert [pause.in_force(NOW + later) for later in (-1, 0, 59, 60)] == [False, True, True, False]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pauses": 3}', '{"pauses": [{}]}', '{"pauses": ["x"]}'])
def test_what_is_no_file_of_pauses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_the_file_takes_hold_by_itself_and_a_broken_one_leaves_the_last_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_file, "LOOK_EVERY", 0)
    path = tmp_path / "pauses.json"
    file = PauseFile(path)
    assert file.current() == ()
    write(path, json.dumps({"pauses": [record(since=time.time() - 1)]}))
    assert len(file.current()) == 1
    write(path, "{")
    assert len(file.current()) == 1
    path.unlink()
    assert file.current() == ()


def write(path: Path, text: str) -> None:
    """As the agent writes: whole, under another name first."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
