"""The usual message takes few steps, whatever the rules have to say about the others: steps are counted, not time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from policy_service.engine import Engine
from policy_service.gcra import SECOND, shape
from policy_service.leases import TEND_EVERY, TENDED_AT_ONCE, Book
from policy_service.memory import Memory
from policy_service.protocol import Values, usual
from policy_service.rules_file import parse, parsing
from policy_service.standing import Standing
from tests.bench.policy import requests, servers
from tests.policy_service.test_dialogues import Asker, Notes

STAGES = ("RCPT", "DATA", "END-OF-MESSAGE")

#: Python functions that one decision may call. The first time, when everything is worked out, it is over a hundred.
FEW = 16


def calls_of(step: Callable[[], None]) -> int:
    """How many Python functions a step calls, itself among them."""
    called = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return called


class Asked:
    """An engine with leases in hand, and how many functions it calls for an answer."""

    def __init__(self) -> None:
        self._book = Book()
        self._book.connected = True
        self._truth = Memory(8)
        rules = json.dumps(servers.rules({"application": servers.credential(servers.two_windows())}))
        self._engine = Engine(parse(rules), self._book, Notes(), Standing(), 0.0)
        self._now = 0
        self._asker = Asker()
        self._messages = 0

    def reload(self, **changed: object) -> None:
        """Rules that say the same of everything, but for what changed of the credential."""
        known = self._engine.ruleset.credentials
        document = servers.rules({"application": {**servers.credential(servers.two_windows()), **changed}})
        self._engine.load(parse(json.dumps(document), before=known), 0.0)

    def message(self) -> None:
        """A whole message: what the leases do not cover is decided by the truth."""
        self._now += 10_000_000
        self._messages += 1
        for state in STAGES:
            self._engine.decide(*self._question(state))
            while sent := self._book.build(self._now):
                self._book.apply(sent, self._truth.exchange(sent.exchange, self._now))
        self._book.tend(self._now)

    def calls(self, state: str) -> int:
        """Functions called for one answer at that stage of the next message."""
        self._messages += 1
        return {stage: calls_of(self._decided(self._question(stage))) for stage in STAGES}[state]

    def _decided(self, question: tuple[Values, Asker, int]) -> Callable[[], None]:
        def decide() -> None:
            answer = self._engine.decide(*question)
            assert answer
            assert answer.startswith((b"action=DUNNO", b"action=FILTER"))

        return decide

    def _question(self, state: str) -> tuple[Values, Asker, int]:
        ((before, after),) = requests.pieces(state, 1, user="application")
        request = usual(b"%b%d%b" % (before, self._messages, after))
        assert request
        return request, self._asker, self._now


@pytest.mark.parametrize("state", STAGES)
def test_the_usual_message_takes_few_steps(state: str) -> None:
    asked = Asked()
    for _ in range(50):
        asked.message()
    assert min(asked.calls(state) for _ in range(5)) <= FEW


def test_a_reload_costs_the_messages_of_a_credential_that_is_the_same_nothing() -> None:
    asked = Asked()
    for _ in range(50):
        asked.message()
    asked.reload()
    assert asked.calls("RCPT") <= FEW
    asked.reload(senders=["bench.test", "other.test"])
    assert asked.calls("RCPT") > FEW


def test_a_round_of_housekeeping_looks_at_few_keys_of_many() -> None:
    book, truth, now = Book(), Memory(8), SECOND
    book.connected = True
    for number in 4 * [*range(300)]:
        key = book.key(f"key-{number}", shape(10_000, 3600, 100, 1), "limit", now)
        book.charge(((key, 5),), lambda _: None, now)
        while sent := book.build(now):
            book.apply(sent, truth.exchange(sent.exchange, now))
    assert all(key.holding for key in book.keys.values())
    now += 60 * SECOND
    rounds: list[int] = []
    while not rounds or book.next_round - now < TEND_EVERY:
        now = max(book.next_round, now)
        rounds.append(calls_of(partial(book.tend, now)))
    assert max(rounds) < 2000
    assert len(rounds) >= 300 // TENDED_AT_ONCE


def test_no_step_of_reading_a_large_file_takes_long() -> None:
    text = json.dumps(servers.everyone(servers.two_windows()))
    steps = parsing(text)
    longest, ended = 0, False

    def step() -> None:
        nonlocal ended
        ended = next(steps, "end") == "end"

    while not ended:
        longest = max(longest, calls_of(step))
    # Functions that one credential of a thousand takes.
    assert longest < 200
