"""The daemon as systemd runs it: ready when it listens, drained when it stops, and killed at the worst moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from smtpctl.intake.feedback.lmtp import STORED

if TYPE_CHECKING:
    from tests.intake.feedback.conftest import Connect, Ledger

pytestmark = pytest.mark.postgres

TO = "bounce+shop@bounce.shop.test"
MAIL = b"Subject: hello\r\n\r\nhello\r\n"
COUNT = "SELECT count(*) FROM ledger.unclassified_mails"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Daemon:
    """The program in a process of its own, under a manager that waits for its notifications."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        config = {
            "host": "feedback1",
            "listen": f"127.0.0.1:{self.port}",
            "metrics": f"127.0.0.1:{self.metrics_port}",
            "database": dict(ledger.config().database),
        }
        self._config = folder / "feedback.json"
        self._config.write_text(json.dumps(config))
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.settimeout(20)
        self._manager.bind(str(folder / "notify"))
        self._environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start it and wait until it says that it is ready."""
        program = "import sys; from smtpctl.intake.feedback import main; sys.exit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "--config", str(self._config)],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.notification() == "READY=1"
        return self.process

    def notification(self) -> str:
        return self._manager.recv(100).decode()

    def close(self) -> None:
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()
        self._manager.close()


@pytest.fixture
def daemon(tmp_path: Path, ledger: Ledger) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, ledger)
    yield daemon
    daemon.close()


@pytest.fixture
def lock(ledger: Ledger) -> Iterator[psycopg.Connection]:
    """A session that holds the table, so that a mail in hand stays in hand."""
    with psycopg.connect(ledger.cluster.conninfo(ledger.database)) as connection:
        connection.execute("LOCK TABLE ledger.unclassified_mails IN ACCESS EXCLUSIVE MODE")
        yield connection


def test_it_serves_mail_and_metrics_and_stops_when_told(daemon: Daemon, ledger: Ledger, connect: Connect) -> None:
    process = daemon.start()

    async def scenario() -> None:
        async with connect(daemon.port) as client:
            assert await client.send(MAIL, TO) == [STORED]

    asyncio.run(scenario())
    assert ledger.rows(COUNT) == [(1,)]
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.metrics_port}/metrics", timeout=5) as page:
        assert 'smtpctl_feedback_mails_total{kind="other"} 1.0' in page.read().decode()
    process.send_signal(signal.SIGTERM)
    assert daemon.notification() == "STOPPING=1"
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in log


def test_a_mail_in_hand_is_answered_before_it_stops(
    daemon: Daemon,
    ledger: Ledger,
    lock: psycopg.Connection,
    connect: Connect,
) -> None:
    process = daemon.start()

    async def scenario() -> None:
        async with connect(daemon.port) as client:
            sending = asyncio.create_task(client.send(MAIL, TO))
            await waiting(ledger)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.notification) == "STOPPING=1"
            lock.rollback()
            assert await sending == [STORED]

    asyncio.run(scenario())
    assert process.wait(20) == 0
    assert ledger.rows(COUNT) == [(1,)]


def test_killed_with_a_mail_in_hand_it_has_acknowledged_nothing(
    daemon: Daemon,
    ledger: Ledger,
    lock: psycopg.Connection,
    connect: Connect,
) -> None:
    process = daemon.start()

    async def interrupted() -> None:
        async with connect(daemon.port) as client:
            sending = asyncio.create_task(client.send(MAIL, TO))
            await waiting(ledger)
            process.kill()
            assert await sending == [""], "an answer came although nothing was stored"

    async def again() -> None:
        async with connect(daemon.port) as client:
            assert await client.send(MAIL, TO) == [STORED]

    asyncio.run(interrupted())
    process.communicate()
    lock.rollback()
    daemon.start()
    asyncio.run(again())
    assert ledger.rows(COUNT) == [(1,)]


def test_a_port_that_is_taken_is_an_error_and_no_traceback(daemon: Daemon, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", daemon.port))
        other.listen()
        program = "import sys; from smtpctl.intake.feedback import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", program, "--config", str(tmp_path / "feedback.json")],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


async def waiting(ledger: Ledger) -> None:
    """Return when the processor's statement waits for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'smtpctl-feedback' AND wait_event_type = 'Lock'"
    )
    while ledger.rows(query) != [(1,)]:
        await asyncio.sleep(0.02)
