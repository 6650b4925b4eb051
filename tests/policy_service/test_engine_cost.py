"""The usual message takes few steps, whatever the rules have to say about the others: steps are counted, not time."""

from __future__ import annotations

import json
import sys
from types import FrameType

import pytest

from policy_service.engine import Engine
from policy_service.leases import Book
from policy_service.memory import Memory
from policy_service.protocol import Values, usual
from policy_service.rules_file import parse, parsing
from policy_service.standing import Standing
from tests.bench.policy import requests, servers
from tests.policy_service.test_dialogues import Asker, Notes

STAGES = ("RCPT", "DATA", "END-OF-MESSAGE")

#: Python functions that one decision may call. The first time, when everything is worked out, it is over a hundred.
FEW = 16


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
        called = 0

        def count(_: FrameType, event: str, __: object) -> None:
            nonlocal called
            called += event == "call"

        self._messages += 1
        for stage in STAGES:
            question = self._question(stage)
            sys.setprofile(count if stage == state else None)
            try:
                answer = self._engine.decide(*question)
            finally:
                sys.setprofile(None)
            assert answer
            assert answer.startswith((b"action=DUNNO", b"action=FILTER"))
        return called

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


def test_no_step_of_reading_a_large_file_takes_long() -> None:
    text = json.dumps(servers.everyone(servers.two_windows()))
    called = longest = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal called
        called += event == "call"

    steps = parsing(text)
    ended = False
    while not ended:
        called = 0
        sys.setprofile(count)
        try:
            next(steps)
        except StopIteration:
            ended = True
        finally:
            sys.setprofile(None)
        longest = max(longest, called)
    # Functions that one credential of a thousand takes.
    assert longest < 200
