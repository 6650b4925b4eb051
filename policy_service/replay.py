"""``replay``: the service over another clock, for trying rules on the mail of yesterday. Edge: input and output.

Requests come on standard input and are answered on standard output, in the same protocol. Each carries one attribute
more, ``log_time``, the Unix time at which it is to be asked; times do not go back. Quotas are this process's own and
begin empty, nothing is held and nobody suppressed: what is shown is what the rules do.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from policy_service.engine import Engine
from policy_service.leases import Book
from policy_service.log import ERROR, log
from policy_service.memory import Memory
from policy_service.message import Charged, Message
from policy_service.protocol import Request, RequestParser
from policy_service.reading import read_rules
from policy_service.ruleset import RulesError, Ruleset
from policy_service.standing import Standing

DIVISOR = 8
CHUNK = 1 << 16


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``replay``."""
    parser.add_argument("--rules", required=True, type=Path, help="rules file (JSON)")


class Silent:
    """Observes nothing: the replies say everything."""

    def decision(self, request: Request, rule: str, mode: str, action: str) -> None: ...

    def incident(self, kind: str, credential: str, request: Request, text: str) -> None: ...

    def hold(self, credential: str, until: float, reason: str) -> None: ...


class Replay:
    """One connection, one engine, and the clock of the requests."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.message: Message | None = None
        self.charged: Charged | None = None
        self.ended = False
        self._book = Book()
        self._book.connected = True
        self._truth = Memory(DIVISOR)
        self._engine = Engine(ruleset, self._book, Silent(), Standing(), 0.0)
        self._told: list[bytes] = []
        self._now = 0

    def tell(self, answer: bytes) -> None:
        """The answer to the request that had to wait."""
        self._told.append(answer)

    def answer(self, request: Request) -> bytes:
        """The reply to a request at its time."""
        self._turn(request.text(b"log_time"))
        answer = self._engine.decide(request, self, self._now)
        while answer is None:
            self._settle()
            answer = self._told.pop() if self._told else None
        return answer

    def _turn(self, stamp: str) -> None:
        """Let time pass; leases and hand-backs are settled as they would have been meanwhile."""
        now = int(float(stamp or 0) * 1e9)
        if now <= self._now:
            return
        self._now = now
        self._engine.tick(now / 1e9)
        self._book.catch_up(now)
        self._settle()

    def _settle(self) -> None:
        for one in self._book.handed_back():
            self._truth.hand_back(one.key, one.nanoseconds)
        while sent := self._book.build(self._now):
            self._book.apply(sent, self._truth.exchange(sent.exchange, self._now))


def main(options: argparse.Namespace) -> int:
    """Answer until standard input ends."""
    try:
        replay = Replay(read_rules(options.rules))
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", file=options.rules, text=error)
        return 1
    parser = RequestParser()
    while data := os.read(sys.stdin.fileno(), CHUNK):
        for request in parser.feed(data):
            sys.stdout.buffer.write(replay.answer(request))
        sys.stdout.buffer.flush()
    return 0
