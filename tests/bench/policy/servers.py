"""The servers that are measured, each a context that yields where it listens and which processes answer. Edge."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.policy.requests import DOMAIN, SENDERS, sender
from tests.bench.policy.setup import ROOT

#: Admits whatever a benchmark asks: what is measured is the decision, not the refusal.
MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``process`` is the root of its tree, ``database`` of its database's (0: none)."""

    name: str
    endpoint: str
    process: int
    database: int = 0
    state: str = "DATA"


@contextmanager
def started(command: list[str], endpoint: str, log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers on ``endpoint``, for the length of a block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, **options)
    try:
        wait_until_answering(endpoint, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_answering(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something accepts there; fail when the process ended, or nothing does for long."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if answering(endpoint):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer on {endpoint}: {log.read_text(errors='replace')[-800:]}")


def answering(endpoint: str) -> bool:
    """Whether somebody accepts connections there."""
    kind, _, rest = endpoint.partition(":")
    host, _, port = rest.rpartition(":")
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as sock:
        return sock.connect_ex(rest if kind == "unix" else (host, int(port))) == 0


def free_endpoint() -> str:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"tcp:127.0.0.1:{sock.getsockname()[1]}"


def python(endpoint: str, module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules on an endpoint."""
    return [sys.executable, "-m", module, *arguments, "--listen", endpoint]


@contextmanager
def echo(folder: Path, endpoint: str | None = None) -> Iterator[Server]:
    """The bare protocol on the same loop."""
    where = endpoint or free_endpoint()
    with started(python(where, "tests.bench.policy.echo"), where, folder / "echo.log") as process:
        yield Server("echo", where, process.pid)


def credential(limits: list[dict[str, object]]) -> dict[str, object]:
    """A credential of a rules file, with all that the rules ask about."""
    return {
        "senders": [DOMAIN],
        "reserved": [f"bounce.{DOMAIN}"],
        "stream": "transactional",
        "recipients_per_message": 100,
        "clients": ["192.0.2.0/24"],
        "hours": [{"start": "00:00", "end": "24:00"}],
        "limits": limits,
    }


POOL = "transactional:[127.0.0.1]:10025"


def rules(credentials: Mapping[str, object], pool: str = POOL) -> Mapping[str, object]:
    """A rules file with these credentials, and all rules in force."""
    return {
        "version": 1,
        "hosts": ["bench"],
        "streams": {"transactional": {"filter": pool, "message_size": 10**7}},
        "invalid_recipients": {"in_a_row": 20, "hold": 3600},
        "credentials": credentials,
    }


def everyone(limits: list[dict[str, object]], pool: str = POOL) -> Mapping[str, object]:
    """A rules file in which each sender signs in as itself."""
    return rules({sender(number): credential(limits) for number in range(SENDERS)}, pool)


def two_windows() -> list[dict[str, object]]:
    """Two windows a key, long enough to be leased ahead."""
    return [
        {"key": "credential", "counted": "recipients", "count": MANY, "per": 3600},
        {"key": "credential", "counted": "recipients", "count": 10 * MANY, "per": 86400},
    ]


def with_more(document: Mapping[str, Any], one_in: int, more: int) -> bytes:
    """The rules file in which one credential in so many may send a little more."""
    changed = json.loads(json.dumps(document))
    for credential_ in list(changed["credentials"].values())[::one_in]:
        for limit in credential_["limits"]:
            limit["count"] += more
    return json.dumps(changed).encode()


@contextmanager
def ours(
    folder: Path, document: Mapping[str, object], database: Database | None, *, name: str, endpoint: str | None = None
) -> Iterator[Server]:
    """``policy_service serve`` with its rules, against the database."""
    where = endpoint or free_endpoint()
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    arguments = ["serve", "--rules", str(path), "--name", "bench"]
    if database:
        arguments += ["--database", database.conninfo(database.policy_database())]
    with started(python(where, "policy_service", *arguments), where, folder / f"{name}.log") as process:
        yield Server(name, where, process.pid, database.process if database else 0)


class Database:
    """A PostgreSQL server for the benchmark's own use, with durable commits."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise RuntimeError("no PostgreSQL server under /usr/lib/postgresql")
        self._programs = found[-1].parent
        self.folder = folder / "postgres"
        self.folder.mkdir()
        self._user = None if os.geteuid() else pwd.getpwnam("nobody").pw_uid
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self.data = self.folder / "data"
        self._names = 0
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", str(self.data))
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n")
            settings.write("max_connections = 40\nshared_buffers = 256MB\ndynamic_shared_memory_type = mmap\n")
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"))
        self.process = int((self.data / "postmaster.pid").read_text().split()[0])

    def conninfo(self, database: str) -> str:
        """Connection string of a database."""
        return f"host={self.folder} dbname={database} user=postgres"

    def create(self) -> str:
        """A new, empty database."""
        self._names += 1
        name = f"bench{self._names}"
        self._psql("postgres", f"--command=CREATE DATABASE {name}")
        return name

    def policy_database(self) -> str:
        """A new database with the quota schema."""
        name = self.create()
        self._psql(name, f"--file={ROOT / 'policy_service/sql/schema.sql'}")
        return name

    def stop(self) -> None:
        """Stop at once: nothing of it is kept."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.data))
        shutil.rmtree(self.folder)

    def _psql(self, database: str, argument: str) -> None:
        command = ["psql", "--no-psqlrc", "--quiet", f"--dbname={self.conninfo(database)}", argument]
        subprocess.run(command, check=True, capture_output=True)

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / "commands").open("ab") as output:
            command = [str(self._programs / program), *arguments]
            subprocess.run(command, check=True, stdout=output, stderr=output, user=self._user, cwd=self.folder)
