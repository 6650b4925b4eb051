"""Limits over a fleet of policy processes while everything about it fails: admitted is never above the limit.

Processes over one primary and its synchronous standby, clients that ask all the time, and in an order that the seed
chooses: a process killed with -9, the database stopped or crashed and started again, a host cut off from it after
others spent the limit, a process's clock an hour ahead or behind, the standby promoted while the primary is gone. An
admission counts for a window when it was asked for and answered within it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg

import policy_service
from tests.clocks import faked, forget_killed
from tests.conftest import Cluster
from tests.policy_service.daemons import Daemon, fullest_window, knock, running

SCHEMA = Path(policy_service.__file__).parent / "sql" / "schema.sql"

#: count, per, burst
LIMITS = {
    "one": (1, 2, 1),
    "ten": (10, 12, 3),
    "hundred": (100, 10, 20),
    "thousand": (1000, 12, 100),
    "many": (10000, 15, 500),
}


class Pair:
    """A primary, and a standby that has every commit before it is acknowledged."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))[-1]
        (folder / "primary").mkdir()
        self.primary = Cluster(programs, folder / "primary")
        self.primary.stop()
        with (self.primary.data / "postgresql.conf").open("a") as settings:
            settings.write("wal_level = replica\nmax_wal_senders = 4\nmax_connections = 60\nhot_standby = on\n")
        with (self.primary.data / "pg_hba.conf").open("a") as access:
            access.write("local replication all trust\n")
        self.primary.start()
        self.primary.apply("postgres", SCHEMA)
        self.standby = self._follow(programs, folder / "standby")
        self.promoted = False

    def conninfo(self, links: Path) -> str:
        """Whichever of the two takes writes, reached through a folder of links that a partition takes away."""
        return f"host={links}/primary,{links}/standby dbname=postgres user=postgres target_session_attrs=read-write"

    def promote(self) -> None:
        """The primary is gone for good, the standby takes over."""
        self.primary.stop("immediate")
        self.standby._run("pg_ctl", "promote", "-w", "-D", str(self.standby.data))
        self.promoted = True

    @property
    def writable(self) -> Cluster:
        return self.standby if self.promoted else self.primary

    def stop(self) -> None:
        for cluster in (self.standby, *([] if self.promoted else [self.primary])):
            cluster.stop("immediate")

    def _follow(self, programs: Path, folder: Path) -> Cluster:
        folder.mkdir()
        standby = Cluster.__new__(Cluster)
        standby.directory, standby.data = folder, folder / "data"
        standby._programs, standby._user = self.primary._programs, self.primary._user
        if standby._user is not None:
            os.chown(folder, standby._user, -1)
        origin = f"host={self.primary.directory} user=postgres application_name=standby"
        standby._run("pg_basebackup", "-D", str(standby.data), "-d", origin, "-R", "-c", "fast", "-X", "stream")
        with (standby.data / "postgresql.conf").open("a") as settings:
            settings.write(f"unix_socket_directories = '{folder}'\nsynchronous_standby_names = ''\n")
        standby.start()
        with (self.primary.data / "postgresql.conf").open("a") as settings:
            settings.write("synchronous_standby_names = 'standby'\n")
        self.primary._run("pg_ctl", "reload", "-D", str(self.primary.data))
        return standby


class Fleet:
    """So many processes, each with its own way to the databases and its own clock."""

    def __init__(self, folder: Path, stack: ExitStack, pair: Pair, count: int) -> None:
        self.folder = folder
        self._stack = stack
        stack.callback(forget_killed)
        self.pair = pair
        document = {
            "version": 1,
            "hosts": [f"edge{number}" for number in range(count)],
            "streams": {"t": {"filter": "t:[127.0.0.1]:10025"}},
            "credentials": {
                name: {
                    "senders": ["shop.test"],
                    "stream": "t",
                    "recipients_per_message": 1,
                    "limits": [{"key": "credential", "counted": "messages", "count": n, "per": t, "burst": b}],
                }
                for name, (n, t, b) in LIMITS.items()
            },
        }
        (folder / "rules.json").write_text(json.dumps(document))
        self.daemons = [self.start(number) for number in range(count)]

    def path(self, number: int) -> Path:
        return self.folder / f"s{number}"

    def links(self, number: int) -> Path:
        return self.folder / f"links{number}"

    def join(self, number: int) -> None:
        """Give a host its way to the databases."""
        links = self.links(number)
        links.mkdir(exist_ok=True)
        for name, cluster in (("primary", self.pair.primary), ("standby", self.pair.standby)):
            if not (links / name).is_symlink():
                (links / name).symlink_to(cluster.directory)

    def cut_off(self, number: int) -> None:
        """Take it away, and end the connections that stand: all but this host find the way back."""
        for link in self.links(number).iterdir():
            link.unlink()
        with psycopg.connect(self.pair.writable.conninfo(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'smtpctl-policy'"
            )

    def start(self, number: int) -> Daemon:
        """Start, or start again, the process of that number; its clock follows a file of its own."""
        self.join(number)
        arguments = ["serve", "--rules", f"{self.folder}/rules.json", "--listen", f"unix:{self.path(number)}"]
        arguments += ["--name", f"edge{number}", "--database", self.pair.conninfo(self.links(number))]
        clock = self.folder / f"clock{number}"
        if not clock.exists():
            clock.write_text("+0\n")
        return self._stack.enter_context(
            running(self.folder / f"host{number}", *arguments, environment=clock_of(clock))
        )

    def jump(self, number: int, seconds: int) -> None:
        """The clock of a process jumps; its monotonic clock does not, as on a real host."""
        (self.folder / f"clock{number}").write_text(f"{seconds:+d}\n")


def clock_of(file: Path) -> dict[str, str]:
    """The environment in which a process takes the time of day from a file."""
    return faked(FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_CACHE_DURATION="1", FAKETIME_DONT_FAKE_MONOTONIC="1")


def faults(fleet: Fleet, chance: random.Random, *, promote: bool) -> list[Callable[[], Awaitable[None]]]:
    """What goes wrong, one after another."""
    pair, count = fleet.pair, len(fleet.daemons)

    async def kill() -> None:
        number = chance.randrange(count)
        await asyncio.to_thread(fleet.daemons[number].kill)
        fleet.daemons[number] = await asyncio.to_thread(fleet.start, number)

    async def restart() -> None:
        await asyncio.to_thread(pair.writable.stop, chance.choice(("fast", "immediate")))
        await asyncio.sleep(chance.random() * 2)
        await asyncio.to_thread(pair.writable.start)

    async def partition() -> None:
        number = chance.randrange(count)
        await asyncio.to_thread(fleet.cut_off, number)
        await asyncio.sleep(3)
        fleet.join(number)

    async def jump() -> None:
        fleet.jump(chance.randrange(count), chance.choice((3600, -3600)))
        await asyncio.sleep(1)

    async def take_over() -> None:
        await asyncio.to_thread(pair.promote)

    made: list[Callable[[], Awaitable[None]]] = [kill, restart, partition, jump]
    chance.shuffle(made)
    return [*made, take_over] if promote else made


def hold(seed: int, folder: Path, *, processes: int, clients: int, seconds: float) -> dict[str, tuple[int, int]]:
    """One run. Return, by credential, the fullest window and all that was admitted; raise where a limit is passed."""
    chance = random.Random(seed)
    admitted: dict[str, list[tuple[int, float, float]]] = {name: [] for name in LIMITS}
    with ExitStack() as stack:
        pair = Pair(folder)
        stack.callback(pair.stop)
        fleet = Fleet(folder, stack, pair, processes)

        async def run() -> None:
            until = time.monotonic() + seconds
            names = list(LIMITS)
            asking = [
                knock(fleet.path(number % processes), name, until, admitted[name])
                for number in range(clients)
                for name in [names[number // processes % len(names)]]
            ]

            async def trouble() -> None:
                for fault in faults(fleet, chance, promote=True):
                    await asyncio.sleep(chance.random() * seconds / 12)
                    await fault()

            await asyncio.gather(trouble(), *asking)

        asyncio.run(run())
    found = {}
    for name, (count, per, _) in LIMITS.items():
        fullest = fullest_window(admitted[name], per)
        assert fullest <= count, f"seed {seed}: {fullest} of {name} within {per} s"
        found[name] = (fullest, len(admitted[name]))
    return found


def torture(seed: int) -> None:
    """Six processes and five hundred clients, through every fault."""
    folder = Path(tempfile.mkdtemp(prefix="smtpctl-torture-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        print(hold(seed, folder, processes=6, clients=500, seconds=60), flush=True)
    finally:
        shutil.rmtree(folder)


def available() -> str | None:
    """Why this cannot run here, or None."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup")):
        return "no PostgreSQL server under /usr/lib/postgresql"
    if not faked():
        return "no libfaketime: apt-get install faketime"
    return None
