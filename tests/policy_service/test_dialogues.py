"""The dialogues in ``dialogues/``, held against the engine: what Postfix says, and the action that must come back."""

from __future__ import annotations

import json
import pkgutil
import shlex
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest

import policy_service.rules
from policy_service.engine import Engine
from policy_service.gcra import SECOND
from policy_service.leases import Book
from policy_service.memory import Memory
from policy_service.message import Charged, Message
from policy_service.pauses import Pauses
from policy_service.pauses import parse as parse_pauses
from policy_service.protocol import Request
from policy_service.rules import HEADER_FROM, RULE_NAMES
from policy_service.rules_file import parse
from policy_service.standing import Standing, digest

FOLDER = Path(__file__).parent / "dialogues"
TABLE = "# table of: "
#: The milter's rule has its table beside its parser.
ELSEWHERE = {HEADER_FROM: Path(__file__).parent / "test_header_from.py"}
NAMES = {"credential": "sasl_username", "recipients": "recipient_count"}


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def tables() -> dict[str, list[Path]]:
    """The conversations that are tables of each rule."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        for rule in first.removeprefix(TABLE).split(", ") if first.startswith(TABLE) else ():
            found.setdefault(rule, []).append(path)
    return found


class Notes:
    """An observer that notes which rule objected, in which mode."""

    def __init__(self) -> None:
        self.objections: set[tuple[str, str]] = set()

    def decision(self, request: Request, rule: str, mode: str, action: str) -> None:
        self.objections.add((rule, mode))

    def incident(self, kind: str, credential: str, request: Request, text: str) -> None:
        pass

    def hold(self, credential: str, until: float, reason: str) -> None:
        pass


class Asker:
    """The one connection of a conversation."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.charged: Charged | None = None
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

    def __init__(self, modes: Mapping[str, str] | None = None) -> None:
        self.book = Book()
        self.book.connected = True
        self.truth = Memory(16)
        self.wall = 1_780_000_000.0
        self.standing = Standing()
        self.notes = Notes()
        rules = json.loads((FOLDER / "rules.json").read_text(encoding="utf-8")) | {"rules": modes or {}}
        self.engine = Engine(parse(json.dumps(rules)), self.book, self.notes, self.standing, self.wall)
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
        answer = self.engine.decide(Request.of(block), self.asker, self.now)
        if answer is None:
            self.settle()
            (answer,) = self.asker.told
            self.asker.told.clear()
        elif self.book.waiting and self.book.connected:
            self.settle()  # a limit in shadow mode, whose answer nobody waits for
        assert answer.startswith(b"action=")
        assert answer.endswith(b"\n\n")
        return answer[len(b"action=") : -2].decode()

    def settle(self) -> None:
        """Let the truth decide what waits for it."""
        for one in self.book.handed_back():
            self.truth.hand_back(one.key, one.nanoseconds)
        sent = self.book.build(self.now)
        assert sent
        self.book.apply(sent, self.truth.exchange(sent.exchange, self.now))

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
            self.engine.pauses = paused(action, *what.split())
        elif line == "resume":
            self.engine.pauses = ()
        elif line == "database away":
            self.book.disconnect(self.now)
        elif line == "database back":
            self.book.connected = True
        else:
            raise AssertionError(f"what is {line!r}?")

    def line(self, line: str) -> str | None:
        """A line at the margin; the action that comes back when it is a request."""
        if line.startswith(("wait ", "database ", "suppress ", "allow ", "pause ", "refuse ", "resume")):
            self.do(line)
            return None
        return self.ask(line)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    conversation = Conversation()
    action: str | None = ""
    for number, line in lines_of(path):
        if line.startswith("  "):
            assert action == line.strip(), f"{path.name}:{number}"
        else:
            action = conversation.line(line) or action


def test_every_rule_is_a_module_with_a_description_and_has_a_table() -> None:
    names = set()
    for module in pkgutil.iter_modules(policy_service.rules.__path__):
        if module.name != "rule":
            found = import_module(f"policy_service.rules.{module.name}")
            rule = getattr(found, "RULE", None)
            names.add(rule.name if rule else found.NAME)
            assert rule.description if rule else found.DESCRIPTION, module.name
    assert {*names, *ELSEWHERE} == set(RULE_NAMES)
    without = [name for name in RULE_NAMES if name not in tables() and name not in ELSEWHERE]
    assert without == [], f"a rule needs a conversation in {FOLDER} that says '{TABLE}NAME'"
    assert set(tables()) <= set(RULE_NAMES)
    assert all(path.is_file() for path in ELSEWHERE.values())


@pytest.mark.parametrize("rule", sorted(tables()))
def test_a_rule_objects_in_its_table_and_only_notes_that_in_shadow_and_nothing_when_it_is_off(rule: str) -> None:
    for path in tables()[rule]:
        for mode, noted in (("enforce", {(rule, "enforce")}), ("shadow", {(rule, "shadow")}), ("off", set())):
            conversation = Conversation({rule: mode})
            answers = [conversation.line(line) or "" for _, line in lines_of(path) if not line.startswith("  ")]
            assert {one for one in conversation.notes.objections if one[0] == rule} == noted, path.name
            assert any(answer.startswith(("DUNNO", "FILTER", "PREPEND")) for answer in answers), path.name
