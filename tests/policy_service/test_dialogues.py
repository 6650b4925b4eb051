"""The dialogues in ``dialogues/``, held against the engine: what Postfix says, and the action that must come back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from policy_service.engine import Engine
from policy_service.gcra import SECOND
from policy_service.leases import Book
from policy_service.memory import Memory
from policy_service.message import Message
from policy_service.pauses import Pauses
from policy_service.pauses import parse as parse_pauses
from policy_service.protocol import Request
from policy_service.rules_file import parse
from policy_service.standing import Standing, digest

FOLDER = Path(__file__).parent / "dialogues"
NAMES = {"credential": "sasl_username", "recipients": "recipient_count"}


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


class Silent:
    """An observer that looks away."""

    def decision(self, request: Request, rule: str, mode: str, action: str) -> None:
        pass

    def incident(self, kind: str, credential: str, request: Request, text: str) -> None:
        pass

    def hold(self, credential: str, until: float, reason: str) -> None:
        pass


class Asker:
    """The one connection of a conversation."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.ended = False
        self.told: list[bytes] = []

    def tell(self, answer: bytes) -> None:
        self.told.append(answer)


def paused(action: str, kind: str, value: str) -> Pauses:
    """One pause in force, of a kind as the file of pauses has it: credentials, streams, senders, pools."""
    scope = {kind: [value]}
    record = {
        "kind": kind,
        "value": value,
        "action": "refuse" if action == "refuse" else "wait",
        "since": 0,
        "scope": scope,
    }
    return parse_pauses(json.dumps({"pauses": [record]}))


class Conversation:
    """The engine over a truth in memory, with a clock that the dialogue turns."""

    def __init__(self) -> None:
        self.book = Book()
        self.book.connected = True
        self.truth = Memory(16)
        self.wall = 1_780_000_000.0
        self.standing = Standing()
        rules = parse((FOLDER / "rules.json").read_bytes())
        self.engine = Engine(rules, self.book, Silent(), self.standing, self.wall)
        self.asker = Asker()
        self.now = 10**15

    def ask(self, line: str) -> str:
        """The action that comes back."""
        state, *pairs = shlex.split(line.replace('"', '\\"'))
        values = {"request": "smtpd_access_policy", "protocol_state": state}
        for pair in pairs:
            name, _, value = pair.partition("=")
            values[NAMES.get(name, name)] = value
        block = "\n".join(f"{name}={value}" for name, value in values.items()).encode()
        answer = self.engine.decide(Request(block).block, self.asker, self.now)
        if answer is None:
            for one in self.book.handed_back():
                self.truth.hand_back(one.key, one.nanoseconds)
            sent = self.book.build(self.now)
            assert sent
            self.book.apply(sent, self.truth.exchange(sent.exchange, self.now))
            (answer,) = self.asker.told
            self.asker.told.clear()
        assert answer.startswith(b"action=")
        assert answer.endswith(b"\n\n")
        return answer[len(b"action=") : -2].decode()

    def do(self, line: str) -> None:
        """A line that is no request."""
        if line.startswith("wait "):
            seconds = int(line.removeprefix("wait ").removesuffix("s"))
            self.now += seconds * SECOND
            self.wall += seconds
            self.engine.tick(self.wall)
            self.book.tend(self.now)
        elif line.startswith(("suppress ", "allow ")):
            word, address = line.split()
            self.standing.change(digest(b"", address.encode()), suppressed=word == "suppress")
        elif line.startswith(("pause ", "refuse ")):
            action, _, what = line.partition(" ")
            self.engine.paused = partial(paused, action, *what.split())
        elif line == "resume":
            self.engine.paused = tuple
        elif line == "database away":
            self.book.disconnect(self.now)
        elif line == "database back":
            self.book.connected = True
        else:
            raise AssertionError(f"what is {line!r}?")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    conversation = Conversation()
    action = ""
    for number, line in lines_of(path):
        if line.startswith("  "):
            assert action == line.strip(), f"{path.name}:{number}"
        elif line.startswith(("wait ", "database ", "suppress ", "allow ", "pause ", "refuse ", "resume")):
            conversation.do(line)
        else:
            action = conversation.ask(line)
