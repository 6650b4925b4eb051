"""A ledger, and a feedback processor in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry

import smtpctl.ledger
from smtpctl.intake.feedback.config import Config, Endpoint
from smtpctl.intake.feedback.lmtp import MAX_SIZE, Intake, Server
from smtpctl.intake.feedback.metrics import Metrics
from smtpctl.intake.feedback.store import Store

if TYPE_CHECKING:
    from tests.conftest import Cluster

SCHEMA = Path(smtpctl.ledger.__file__).parent / "sql" / "schema.sql"


@dataclass
class Ledger:
    """A database with the ledger's schema, and a login that may write to it and nothing else."""

    cluster: Cluster
    database: str

    def config(self) -> Config:
        keywords = {"host": str(self.cluster.directory), "dbname": self.database, "user": "feedback_test"}
        nowhere = Endpoint("127.0.0.1", 0)
        return Config("feedback1", nowhere, nowhere, keywords, {"example.com": "example"})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.cluster.conninfo(self.database), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.cluster.conninfo(self.database), autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def ledger(postgres: Cluster, new_database: Callable[[], str]) -> Iterator[Ledger]:
    """A ledger of this test's own."""
    database = new_database()
    postgres.apply(database, SCHEMA)
    ledger = Ledger(postgres, database)
    if not ledger.rows("SELECT FROM pg_roles WHERE rolname = 'feedback_test'"):
        ledger.run("CREATE ROLE feedback_test LOGIN IN ROLE ledger_writer")
    yield ledger


class Client:
    """Postfix's side of LMTP, as bare as it gets: every answer is looked at."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self) -> str:
        """The last line of the next answer."""
        while True:
            line = (await asyncio.wait_for(self._reader.readline(), 20)).decode()
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    async def say(self, line: str) -> str:
        """Send one command; return its answer."""
        self._writer.write(line.encode() + b"\r\n")
        return await self.answer()

    async def send(self, content: bytes, *recipients: str, sender: str = "") -> list[str]:
        """A whole transaction; return the answer of each recipient."""
        assert (await self.say(f"MAIL FROM:<{sender}> BODY=8BITMIME SIZE={len(content)}")).startswith("250")
        for recipient in recipients:
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")
        assert (await self.say("DATA")).startswith("354")
        self._writer.write(content.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return [await self.answer() for _ in recipients]


Connect = Callable[[int], AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def session(port: int) -> AsyncIterator[Client]:
    """An LMTP session with what listens on a port of this machine; not ended with QUIT, for it may have been killed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        client = Client(reader, writer)
        assert (await client.answer()).startswith("220")
        assert (await client.say("LHLO feedback1")).startswith("250")
        yield client
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
def connect() -> Connect:
    """Open LMTP sessions."""
    return session


@dataclass
class Processor:
    """A processor that listens on a port of its own."""

    config: Config
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Run the processor for the time of one LMTP session."""
        store = Store(self.config)
        intake = Intake(store, Metrics(self.registry))
        server = await asyncio.get_running_loop().create_server(
            lambda: Server(intake, data_size_limit=MAX_SIZE, enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        try:
            async with session(server.sockets[0].getsockname()[1]) as client:
                yield client
                await client.say("QUIT")
        finally:
            server.close()
            await store.close()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def processor(ledger: Ledger) -> Processor:
    """A processor in front of ``ledger``."""
    return Processor(ledger.config())
