"""A PostgreSQL server with a ledger, a shipper as a process, and what both used. Edge: processes and /proc."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import smtpctl.ledger
from smtpctl.ledger.seal import BUCKETS, new_pair
from tests.bench.ledger.interpreter import environment, interpreter
from tests.conftest import Cluster

SCHEMA = Path(smtpctl.ledger.__file__).parent / "sql" / "schema.sql"
ROOT = Path(__file__).parents[3]
_PROGRAM = "from smtpctl.intake.shipper import main; raise SystemExit(main())"
#: As on control; and memory enough for this many rows.
_SETTINGS = (
    "jit = off",
    "work_mem = '16MB'",
    "shared_buffers = '256MB'",
    "max_wal_size = '4GB'",
    "checkpoint_timeout = '30min'",
)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Shipped:
    """What a shipper took for a log; less what it takes for an empty one, but for memory."""

    wall: float
    cpu: float
    server_cpu: float
    memory: int


class Server:
    """A server of this benchmark's own; every run gets a new ledger."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.database = ""

    def new_ledger(self) -> str:
        """Drop the last ledger and make an empty one."""
        if self.database:
            self.cluster.drop_database(self.database)
        self.database = self.cluster.create_database()
        self.cluster.apply(self.database, SCHEMA)
        return self.database

    def _make_private(self, folder: Path) -> dict[str, str]:
        """Give the ledger public keys to seal under; the settings that make a shipper use them."""
        with self.connect() as connection, connection.cursor() as cursor:
            keys = [(bucket, new_pair()[1]) for bucket in range(BUCKETS)]
            cursor.executemany("INSERT INTO ledger.seal_keys (bucket, public) VALUES (%s, %s)", keys)
        path = folder / "lookup.json"
        path.write_text(json.dumps({"1": "5a" * 32}))
        return {"lookup_keys_file": str(path)}

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.cluster.conninfo(self.database), autocommit=True)

    def cpu(self) -> float:
        """CPU seconds of the server so far, those of ended backends included."""
        main = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        used = sum(_stat(main)[1])
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent, times = _stat(int(entry.name))
                except (FileNotFoundError, ProcessLookupError):
                    continue
                used += sum(times[:2]) if parent == main else 0
        return used / _TICKS

    def config(self, folder: Path, log: Path, **more: object) -> Path:
        """A configuration file for a shipper of ``log``."""
        place = {"host": str(self.cluster.directory), "dbname": self.database, "user": "postgres"}
        path = folder / "shipper.json"
        path.write_text(json.dumps({"host": "bench", "log": str(log), "database": place, **more}))
        return path

    def ship(self, folder: Path, log: Path, *, private: bool = False, **more: object) -> Shipped:
        """Ship a whole log into a new ledger, as fast as it goes. What the start of the interpreter and the first
        connection take is measured with an empty log and subtracted: a shipper starts once a month."""
        empty = folder / "empty.log"
        empty.touch()
        self.new_ledger()
        start = self._ship(self.config(folder, empty, **more))
        self.new_ledger()
        if private:
            more["privacy"] = self._make_private(folder)
        all_of_it = self._ship(self.config(folder, log, **more))
        return Shipped(
            all_of_it.wall - start.wall,
            all_of_it.cpu - start.cpu,
            all_of_it.server_cpu - start.server_cpu,
            all_of_it.memory,
        )

    def _ship(self, config: Path) -> Shipped:
        server, started = self.cpu(), time.monotonic()
        command = [interpreter(), "-c", _PROGRAM, "--config", str(config), "--once"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
        _, code, used = os.wait4(process.pid, 0)
        if code:
            raise RuntimeError(f"the shipper ended with {code}")
        return Shipped(
            time.monotonic() - started, used.ru_utime + used.ru_stime, self.cpu() - server, used.ru_maxrss * 1024
        )


def _stat(process: int) -> tuple[int, list[int]]:
    """(parent, [utime, stime, cutime, cstime] in ticks)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), [int(value) for value in fields[11:15]]


@contextmanager
def server() -> Iterator[Server]:
    """A server under /var/tmp, gone at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))
    with tempfile.TemporaryDirectory(prefix="smtpctl-bench-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(found[-1], Path(folder))
        with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
            for setting in _SETTINGS:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        cluster.stop()
        cluster.start()
        try:
            yield Server(cluster)
        finally:
            cluster.stop("immediate")
