"""What an analyst would ask of a large ledger, and how long each answer takes, with its plan."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from smtpctl.cli.ledger_search import COLUMNS
from smtpctl.ledger.connection import Connection
from smtpctl.ledger.reader import Reader, Search
from tests.bench.figures import Figure, at_most

PAGE = Path(__file__).parents[3] / "docs" / "ledger.md"
MORE = Path(__file__).parent / "questions.sql"
_WORKED = re.compile(r"^\*\*([^*\n]+\?)\*\*.*?^```sql\n(.+?)^```", re.MULTILINE | re.DOTALL)
_MORE = re.compile(r"^-- (.+\?)\n([^;]+);", re.MULTILINE)
#: Seconds within which an answer has to stand.
_BOUND = 1.0


def questions() -> dict[str, str]:
    """The worked questions of the documentation, as they stand there, and more."""
    return dict(_WORKED.findall(PAGE.read_text(encoding="utf-8")) + _MORE.findall(MORE.read_text()))


def ask(connection: Connection, plans: Path) -> list[Figure]:
    """Ask everything twice, as a reader, and what commands ask as an operator; the better answer counts. Plans go to a
    file."""
    figures = []
    with plans.open("w") as file:
        connection.execute("SET ROLE ledger_reader")
        for name, statement in questions().items():
            text = statement.strip().rstrip(";")
            seconds = _quickest(lambda text=text: connection.execute(text.encode()).fetchall())  # type: ignore[misc]
            plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS) {text}".encode()).fetchall()
            file.write(f"-- {name}\n{text}\n" + "\n".join(row[0] for row in plan) + "\n\n")
            figures.append(at_most(name.rstrip("?"), seconds, _BOUND))
        connection.execute("SET ROLE ledger_operator")
        figures += _commands(connection)
        connection.execute("RESET ROLE")
    return figures


def _commands(connection: Connection) -> list[Figure]:
    """What the commands ask."""
    reader = Reader(connection)
    latest = connection.execute("SELECT max(at) FROM ledger.outgoing WHERE at > now() - interval '2 days'").fetchone()
    assert latest is not None
    day, month = (latest[0] - timedelta(days=days) for days in (1, 30))
    person = "person4711@gmail.com"
    searches = {
        "search: an address": Search(address=person),
        "search: a rare domain, bounced": Search(domain="company7.example", status="bounced"),
        "search: a frequent domain, deferred": Search(domain="gmail.com", status="deferred"),
        "search: one in half a million": Search(status="expired"),
        "search: what is nowhere": Search(status="expired", category="content"),
        "search: provider and category": Search(provider="google", category="full", since=month),
        "search: a credential, a day": Search(credential="app-7", since=day),
        "search: text of a day": Search(text="greylisted", since=day),
    }
    asked: dict[str, Callable[[], object]] = {"show: an address": partial(reader.show, person, 5)}
    asked |= {name: partial(reader.search, wanted, None, 101) for name, wanted in searches.items()}
    asked["stats of a day"] = partial(reader.stats, day)
    for name, column in COLUMNS.items():
        asked[f"top {name} of a month"] = partial(reader.top, column, month, 20)
    return [at_most(name, _quickest(question), _BOUND) for name, question in asked.items()]


def _quickest(question: Callable[[], object]) -> float:
    """Seconds of the better of two answers."""
    took = []
    for _ in range(2):
        started = time.monotonic()
        question()
        took.append(time.monotonic() - started)
    return min(took)
