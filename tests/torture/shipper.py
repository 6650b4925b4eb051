"""Faults at the shipper while mail is logged: rows equal the log exactly, none missing, none double.

A fault is a kill -9, a rotation by rename or by copy and truncate, a crash of the database, a cut connection, a full
disk under its tables, or two of them at once. Copying and truncating itself loses what is written between the two, so
nothing is written then.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.conftest import Cluster
from tests.intake.shipper.conftest import SCHEMA, STORED, Mail, Shipping, expected_tables

#: Faults of one round; twenty rounds are a thousand.
FAULTS = 50
_FAULTS = ("kill", "kill", "rotate", "truncate", "cut", "crash", "kill and rotate", "kill and truncate", "full disk")
#: About 200 messages a second, five lines each, for this long between two faults.
_SECONDS = 0.3
_LINES = 1000


class SmallDisk:
    """A disk of 256 MiB that the ledger's tables are on, and that can be filled."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"
        self.folder = folder / "tables"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(shipping: Shipping) -> Iterator[SmallDisk | None]:
    """Move the ledger to a small disk; None where no disk may be mounted."""
    if os.geteuid():
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="smtpctl-small-", dir="/var/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)], check=True)
    try:
        disk = SmallDisk(folder)
        disk.folder.mkdir()
        shutil.chown(disk.folder, "nobody")
        name = folder.name.replace("-", "_")
        with psycopg.connect(shipping.postgres.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE \"{name}\" LOCATION '{disk.folder}'".encode())
            connection.execute(f'ALTER DATABASE "{shipping.database}" SET TABLESPACE "{name}"'.encode())
        yield disk
        with psycopg.connect(shipping.postgres.conninfo(), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{shipping.database}" SET TABLESPACE pg_default'.encode())
            connection.execute(f'DROP TABLESPACE "{name}"'.encode())
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def storm(shipping: Shipping, mail: Mail, chance: random.Random, faults: int) -> bytes:
    """Log mail, do ``faults`` things to the shipper, and wait until it has everything. Return the whole log."""
    log = b""
    # Small batches leave it behind, so that it reads on while it stores.
    shipping.configure(batch_bytes=chance.choice((2 << 20, 8 << 10)))
    with small_disk(shipping) as disk:
        shipping.log.touch()
        shipping.start()
        shipping.wait_for("SELECT count(*) FROM ledger.sources", 1)  # older history is not followed
        for _ in range(faults):
            log += _log_some(shipping, mail, chance)
            fault(shipping, chance.choice(_FAULTS), disk)
        shipping.wait_for("SELECT coalesce(max(lines), 0) FROM ledger.sources", log.count(b"\n"), patience=180)
        shipping.kill()
        check(shipping, log)
    return log


def fault(shipping: Shipping, name: str, disk: SmallDisk | None) -> None:
    """Do one thing."""
    killed = name.startswith("kill")
    if killed:
        shipping.kill()
    if name.endswith("rotate"):
        shipping.rotate()
    elif name.endswith("truncate"):
        _copy_and_truncate(shipping)
    elif name == "cut":
        with psycopg.connect(shipping.postgres.conninfo(), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer_edge1'")
    elif name == "crash":
        shipping.postgres.stop("immediate")
        shipping.postgres.start()
    elif name == "full disk" and disk is not None:
        disk.fill()
        time.sleep(_SECONDS)  # how long it is full, not how long something takes
        disk.free()
    if killed:
        shipping.start()


def check(shipping: Shipping, log: bytes) -> None:
    """Rows are those of the log."""
    for table, expected in expected_tables(log).items():
        stored = sorted(shipping.query(STORED[table]), key=str)
        assert stored == sorted(expected, key=str), f"{table}: {len(stored)} rows, not {len(expected)}"


def torture(seed: int) -> None:
    """One round: fifty faults on a server and a ledger of its own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))[-1]
    with tempfile.TemporaryDirectory(prefix="smtpctl-torture-", dir="/tmp", ignore_cleanup_errors=True) as name:
        server, folder = Path(name) / "server", Path(name) / "log"
        server.mkdir()
        folder.mkdir()
        Path(name).chmod(0o711)
        cluster = Cluster(programs, server)
        try:
            database = cluster.create_database()
            cluster.apply(database, SCHEMA)
            with psycopg.connect(cluster.conninfo(database), autocommit=True) as connection:
                connection.execute("CREATE ROLE writer_edge1 LOGIN IN ROLE ledger_writer")
            shipping = Shipping(cluster, database, folder)
            try:
                storm(shipping, Mail(seed), random.Random(seed), FAULTS)
            finally:
                shipping.kill()
        finally:
            cluster.stop("immediate")


def _log_some(shipping: Shipping, mail: Mail, chance: random.Random) -> bytes:
    """Lines at about the speed of 200 messages a second, some of them written in halves."""
    log = b""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        added = mail.lines(int(_LINES * 0.05))
        half = chance.randrange(len(added))
        shipping.append(added[:half])
        time.sleep(0.05)
        shipping.append(added[half:])
        log += added
    return log


def _copy_and_truncate(shipping: Shipping) -> None:
    """As logrotate's copytruncate does, between two writes."""
    kept = sorted(shipping.log.parent.glob("mail.log.*"), key=lambda path: -int(path.suffix[1:]))
    for path in kept:
        path.rename(path.with_suffix(f".{int(path.suffix[1:]) + 1}"))
    shutil.copyfile(shipping.log, shipping.log.with_name("mail.log.1"))
    os.truncate(shipping.log, 0)
