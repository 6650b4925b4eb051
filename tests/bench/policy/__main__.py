"""``make bench-policy``: our policy service beside a bare asyncio echo, postfwd, CHAPPS and policyd-rate-limit.

Everything is measured in one run, in turns, over TCP on the loopback; ours with every rule in force and two windows a
key, on a PostgreSQL of its own with durable commits; then beside a real Postfix, in the lab's fleet, and its memory.
``--long`` adds what takes minutes: ten million requests.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import figures
from tests.bench.figures import Figure
from tests.bench.policy import fleet, peers, postfix, servers, setup
from tests.bench.policy.cpu import resident_megabytes
from tests.bench.policy.measure import Measured, measure, middle
from tests.bench.policy.servers import Database, Server

ROUNDS = 3
PARTS = ("echo", "peers", "postfix", "fleet", "memory")


def note(text: str) -> None:
    """A line of progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def alternate(measured: Sequence[Server], *, connections: int = 50, rounds: int = ROUNDS) -> list[Measured]:
    """Measure the servers in turns, so that what else goes on meets all of them."""
    found: list[list[Measured]] = [[] for _ in measured]
    for _ in range(rounds):
        for server, results in zip(measured, found, strict=True):
            results.append(measure(server, connections=connections))
    return [middle(results) for results in found]


def against_echo(folder: Path, database: Database) -> tuple[list[Figure], Measured]:
    """Ours in both modes beside the echo, with 1 to 100 connections."""
    lease_rules = servers.everyone(servers.two_windows())
    strict_rules = {**lease_rules, "strict": True}
    made = []
    with (
        servers.echo(folder) as echo,
        servers.ours(folder, lease_rules, database, name="lease") as lease,
        servers.ours(folder, strict_rules, database, name="strict") as strict,
    ):
        note("warming: leases grow with use")
        measure(lease, seconds=0.5, warm=4.0)
        for connections in (1, 10, 100):
            note(f"{connections} connections")
            bare, leased = alternate([echo, lease], connections=connections, rounds=1)
            made += [
                figures.shown(f"requests/s, {connections} connections", leased.per_second, "", peer=bare.per_second),
                figures.shown(f"CPU a request, {connections} connections", leased.cpu, "us", peer=bare.cpu),
                figures.shown(f"p99, {connections} connections", leased.p99, "ms", peer=bare.p99),
            ]
        note("50 connections")
        bare, leased, exact = alternate([echo, lease, strict])
        made += [
            figures.quicker("CPU a request with database, echo", leased.cpu, bare.cpu, 0.5, "us"),
            figures.shown("of it the database's", leased.database, "us"),
            figures.more("requests/s, echo", leased.per_second, bare.per_second, 0.5),
            figures.quicker("p99, echo", leased.p99, bare.p99, 0.5, "ms"),
            figures.more("strict mode requests/s, lease mode", exact.per_second, leased.per_second, 0.5),
            figures.shown("strict mode CPU a request", exact.cpu, "us"),
            figures.shown("strict mode p99", exact.p99, "ms"),
        ]
        made.append(admitted(leased))
        made += [through_reloads(lease, folder / "lease.json", lease_rules, one_in) for one_in in (10, 1)]
    return made, leased


def admitted(leased: Measured) -> Figure:
    """A benchmark of refusals would be another one."""
    passed = leased.answers.get("FILTE", 0) / sum(leased.answers.values())
    return figures.at_least("admitted of what was asked", passed * 100, 99.9, "%")


def through_reloads(server: Server, path: Path, document: Mapping[str, Any], one_in: int) -> Figure:
    """The latency while the rules are loaded every half second, each time with other limits for some credentials."""
    note(f"rules reloaded, other limits for one credential in {one_in}")
    ended = threading.Event()
    texts = itertools.cycle([servers.with_more(document, one_in, more) for more in (1, 2)])

    def reload() -> None:
        while not ended.wait(0.5):
            path.write_bytes(next(texts))
            os.kill(server.process, signal.SIGHUP)

    reloading = threading.Thread(target=reload)
    reloading.start()
    try:
        found = measure(server, seconds=3.0)
    finally:
        ended.set()
        reloading.join()
    if one_in == 1:
        return figures.shown("p99.9 through reloads with other limits for all", found.p99_9, "ms")
    return figures.at_most("p99.9 through reloads of 1,000 credentials", found.p99_9, 5.0, "ms")


def against_peers(folder: Path, database: Database, ours: Measured) -> list[Figure]:
    """Our CPU a request against each peer's."""
    started: list[tuple[str, float, Callable[[], AbstractContextManager[Server]]]] = [
        ("postfwd", 10, partial(peers.postfwd, folder)),
        ("CHAPPS", 25, partial(peers.chapps, folder)),
        ("policyd-rate-limit", 25, partial(peers.policyd_rate_limit, folder, database)),
    ]
    made = []
    for name, times, start in started:
        note(name)
        try:
            with start() as server:
                # What a peer does for a sender that it has never seen is not held against it.
                found = measure(server, seconds=3.0, warm=4.0)
        except (OSError, RuntimeError) as error:
            made.append(figures.missing(f"CPU a request, {name}", str(error).partition("\n")[0][:100]))
            continue
        made += [
            figures.quicker(f"CPU a request, {name}", ours.cpu, found.cpu, times, "us"),
            figures.shown(f"requests/s, {name}", ours.per_second, "", peer=found.per_second),
            figures.shown(f"p99, {name}", ours.p99, "ms", peer=found.p99),
        ]
    return made


def beside_postfix(folder: Path, database: Database) -> list[Figure]:
    """What the service costs beside a real Postfix that asks it three times a message."""
    name = "CPU of the service, of Postfix's own a message"
    sink = int(servers.free_endpoint().rpartition(":")[2])
    document = servers.everyone(servers.two_windows(), f"smtp:[127.0.0.1]:{sink}")
    note("Postfix")
    try:
        with servers.ours(folder, document, database, name="postfix-rules") as server:
            cost = postfix.cost(folder, server, sink, 4000)
        with servers.echo(folder) as echo:
            floor = postfix.cost(folder, echo, sink, 4000, warming=postfix.SESSIONS)
    except (OSError, RuntimeError) as error:
        return [figures.missing(name, str(error).partition("\n")[0][:100])]
    return [
        figures.at_most(name, 100 * cost.policy / cost.postfix, 1.5, "%"),
        figures.shown("of it the database's a message", cost.database * 1e6, "us"),
        figures.shown("CPU of the echo in the service's place a message", floor.policy * 1e6, "us"),
        figures.shown("CPU of Postfix a message", cost.postfix * 1e6, "us"),
        figures.shown("CPU of the service and its database a message", cost.policy * 1e6, "us"),
        figures.shown("messages/s through Postfix", cost.messages_per_second, ""),
    ]


def in_the_lab() -> list[Figure]:
    """What the service costs the fleet's own submission."""
    note("the lab's fleet")
    if os.geteuid():
        return [figures.missing("messages/s through submission, without", "the lab needs root")]
    return fleet.through_both_edges()


def memory(folder: Path, database: Database) -> list[Figure]:
    """What keys cost: two windows a sender, each sender asked for once."""
    limits = [limit | {"key": "sender"} for limit in servers.two_windows()]
    document = servers.rules({"everybody": servers.credential(limits)})
    made = []
    with servers.ours(folder, document, database, name="memory") as server:
        empty = resident_megabytes(server.process)
        first = 0
        for keys, limit in ((100_000, 64), (1_000_000, 300)):
            note(f"{keys} keys")
            senders = keys // 2 - first
            options = [f"--senders={senders}", f"--first={first}", f"--requests={senders}", "--user=everybody"]
            asked = measure(server, seconds=90, warm=0, options=options).requests
            first += senders
            name = f"memory with {keys:,} keys"
            if asked < senders:
                made.append(figures.missing(name, f"only {2 * (first - senders + asked):,} keys within 90 s"))
                break
            made.append(figures.at_most(name, resident_megabytes(server.process), limit, "MB"))
        made.append(figures.shown("memory with none", empty, "MB"))
    return made


def flat(folder: Path, database: Database) -> list[Figure]:
    """Memory before and after ten million requests of the same senders."""
    with servers.ours(folder, servers.everyone(servers.two_windows()), database, name="flat") as server:
        measure(server, seconds=600, warm=0, options=["--requests=1000000"])
        before = resident_megabytes(server.process)
        for round_ in range(9):
            note(f"{round_ + 2} million requests")
            measure(server, seconds=600, warm=0, options=["--requests=1000000"])
        grown = resident_megabytes(server.process) - before
        return [figures.at_most("memory gained from 1 to 10 million requests", grown, 4, "MB")]


def main() -> int:
    """Measure everything and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="only these parts")
    options = parser.parse_args()
    parts = options.only or PARTS
    started = time.monotonic()
    for name, reason in setup.prepare().items():
        note(f"{name} cannot be had: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="smtpctl-bench-", dir="/tmp"))
    folder.chmod(0o755)
    database = Database(folder)
    made: list[Figure] = []
    try:
        if "echo" in parts or "peers" in parts:
            found, ours = against_echo(folder, database)
            if "echo" in parts:
                made += found
            if "peers" in parts:
                made += against_peers(folder, database, ours)
        if "postfix" in parts:
            made += beside_postfix(folder, database)
        if "fleet" in parts:
            made += in_the_lab()
        if "memory" in parts:
            made += memory(folder, database)
        if options.long:
            made += flat(folder, database)
    finally:
        database.stop()
        shutil.rmtree(folder)
    note(f"took {time.monotonic() - started:.0f} s")
    return figures.conclude(made)


if __name__ == "__main__":
    sys.exit(main())
