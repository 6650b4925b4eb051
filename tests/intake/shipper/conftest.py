"""A shipper as a process, a log that grows, and a ledger to look at."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import smtpctl.ledger
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import Rows, datetime_of, moment_of

if TYPE_CHECKING:
    from tests.conftest import Cluster

SCHEMA = Path(smtpctl.ledger.__file__).parent / "sql" / "schema.sql"
REPOSITORY = Path(smtpctl.ledger.__file__).parent.parent.parent
_PROGRAM = "from smtpctl.intake.shipper import main; raise SystemExit(main())"


@pytest.fixture
def database(postgres: Cluster, new_database: Callable[[], str]) -> str:
    """A ledger with a host's own role, as the control host has it."""
    name = new_database()
    postgres.apply(name, SCHEMA)
    with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS writer_edge1")
        connection.execute("CREATE ROLE writer_edge1 LOGIN IN ROLE ledger_writer")
    return name


class Shipping:
    """A host's log and the shipper that follows it."""

    def __init__(self, postgres: Cluster, database: str, folder: Path) -> None:
        self.postgres = postgres
        self.database = database
        self.log = folder / "mail.log"
        self.config = folder / "shipper.json"
        self.errors = folder / "stderr"
        self.configure()
        self.processes: list[subprocess.Popen[bytes]] = []

    def configure(self, **more: object) -> None:
        place = {"host": str(self.postgres.directory), "dbname": self.database, "user": "writer_edge1"}
        document = {"host": "edge1", "log": str(self.log), "database": place, "linger": 0.02, **more}
        self.config.write_text(json.dumps(document))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "error", "-c", _PROGRAM, "--config", str(self.config), *arguments]
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(command, cwd=REPOSITORY, stderr=errors)
        self.processes.append(process)
        return process

    def run_once(self) -> None:
        """Ship everything that is there, and end."""
        process = self.start("--once")
        assert process.wait(180) == 0, self.errors.read_text()

    def kill(self) -> None:
        """As the kernel kills: at any instant, without a word."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        self.processes.clear()

    def append(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def rotate(self) -> None:
        """As logrotate renames. Nothing is ever removed: logs are kept until they are shipped."""
        for number in range(len(list(self.log.parent.glob("mail.log.*"))), 0, -1):
            self.log.with_name(f"mail.log.{number}").rename(self.log.with_name(f"mail.log.{number + 1}"))
        self.log.rename(self.log.with_name("mail.log.1"))
        self.log.touch()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.conninfo(self.database)) as connection:
            return connection.execute(statement.encode()).fetchall()

    def wait_for(self, statement: str, expected: object, patience: float = 120.0) -> None:
        """Until the first value of a query is what is expected."""
        deadline = time.monotonic() + patience
        while (found := self.query(statement)[0][0]) != expected:
            assert time.monotonic() < deadline, f"{statement}: {found}, not {expected}\n{self.errors.read_text()}"
            time.sleep(0.02)


@pytest.fixture
def shipping(postgres: Cluster, database: str, tmp_path: Path) -> Iterator[Shipping]:
    shipping = Shipping(postgres, database, tmp_path)
    yield shipping
    shipping.kill()


def expected_rows(log: bytes) -> Rows:
    """What the ledger must hold for a log, taken in at once without any database."""
    tracker = Tracker(Labels(), classify)
    reader = LogReader(tracker, moment_of(datetime.now(UTC)))
    reader.read(log)
    return tracker.take(reader.last)


def expected_tables(log: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """The same as values to compare: row numbers of messages are replaced by their queue ids and beginnings."""
    rows = expected_rows(log)
    names = {row.id: (row.queue_id.decode(), datetime_of(row.started_at)) for row in rows.messages}
    return {
        "messages": sorted(
            (
                *names[row.id],
                row.ended_at and datetime_of(row.ended_at),
                row.place.instance.decode(),
                _text(row.origin),
                _text(row.client.name),
                _text(row.message_id),
                _text(row.sender),
                row.size,
                row.recipients,
                row.activations,
                row.first_active_at and datetime_of(row.first_active_at),
                names[row.parent][0] if row.parent else None,
                _text(row.parent_kind),
                _text(row.end_kind),
            )
            for row in rows.messages
        ),
        "deliveries": sorted(
            (
                datetime_of(row.at),
                names[row.message][0],
                row.recipient.decode().lower(),
                row.outcome.status.decode(),
                row.reply.decode(),
                _text(row.queued_as),
                row.outcome.verdict and str(row.outcome.verdict.hardness),
            )
            for row in rows.deliveries
        ),
        "events": sorted(
            (datetime_of(row.at), row.kind, names[row.message][0] if row.message else None) for row in rows.events
        ),
    }


STORED = {
    "messages": """
        SELECT queue_id, started_at, ended_at, instance, origin, client_name, message_id,
               CASE WHEN sender_domain = '' AND sender IS NULL THEN '' ELSE address END, size, recipients, activations,
               first_active_at, (SELECT queue_id FROM ledger.messages AS elder WHERE elder.id = messages.parent),
               parent_kind, end_kind
        FROM ledger.messages LEFT JOIN ledger.subjects ON subjects.id = sender""",
    "deliveries": """
        SELECT at, (SELECT queue_id FROM ledger.messages WHERE id = message), address, status, reply, queued_as,
               hardness
        FROM ledger.deliveries JOIN ledger.subjects ON subjects.id = recipient""",
    "events": "SELECT at, kind, (SELECT queue_id FROM ledger.messages WHERE id = message) FROM ledger.events",
}


@pytest.fixture
def assert_ledger_equals() -> Callable[[Shipping, bytes], None]:
    """The rows of the ledger are those of the log: none missing, none double, none different."""

    def check(shipping: Shipping, log: bytes) -> None:
        for table, expected in expected_tables(log).items():
            stored = sorted(shipping.query(STORED[table]), key=str)
            assert stored == sorted(expected, key=str), table

    return check


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


class Mail:
    """Makes the log of a busy host: messages that overlap, are retried, bounce, and use short queue ids again."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._clock = moment_of(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
        self._count = 0
        self._waiting: list[tuple[int, str]] = []

    def lines(self, count: int) -> bytes:
        """The next ``count`` lines or a few more."""
        log: list[bytes] = []
        while len(log) < count:
            self._clock += self._chance.randint(1, 400_000)
            if self._waiting and self._chance.random() < 0.8:
                _, text = self._waiting.pop(self._chance.randrange(min(4, len(self._waiting))))
            else:
                text = self._begin()
            stamp = datetime_of(self._clock).isoformat(timespec="microseconds")
            log.append(f"{stamp} edge1 postfix/{text}\n".encode())
        return b"".join(log)

    def _begin(self) -> str:
        self._count += 1
        chance = self._chance
        queue_id = f"{self._count % 997:05X}{self._count % 89:04X}"
        recipient = f"user{self._count % 200}@{chance.choice(['gmail.test', 'yahoo.test', 'Company.test'])}"
        about = f"delay={chance.random():.2f}, delays=0.1/0/0.1/0.1"
        later = f"{queue_id}: to=<{recipient}>, relay=none, {about}, dsn=4.4.1, status=deferred (connection refused)"
        done = chance.choice(
            [
                f"{queue_id}: to=<{recipient}>, relay=mx[192.0.2.1]:25, {about}, dsn=2.0.0, "
                f"status=sent (250 2.0.0 Ok: queued as {queue_id}A)",
                f"{queue_id}: to=<{recipient}>, relay=mx[192.0.2.1]:25, {about}, dsn=5.1.1, status=bounced "
                f"(host mx[192.0.2.1] said: 550 5.1.1 <{recipient}>: no such user (in reply to RCPT TO command))",
            ]
        )
        active = (
            f"qmgr[9]: {queue_id}: from=<s{self._count % 50}@shop.test>, size={self._count}, nrcpt=1 (queue active)"
        )
        steps = [f"cleanup[11]: {queue_id}: message-id=<m{self._count}@shop.test>", active]
        steps += [f"smtp[12]: {later}", active] * chance.choice([0, 0, 0, 2])
        steps += [f"smtp[13]: {done}", f"qmgr[9]: {queue_id}: removed"]
        self._waiting += [(self._count, step) for step in steps]
        return f"smtpd[{self._count}]: {queue_id}: client=app{self._count % 7}.test[192.0.2.{self._count % 250}]"


@pytest.fixture
def mail(request: pytest.FixtureRequest) -> Mail:
    seed = getattr(request, "param", 1)
    return Mail(seed)
