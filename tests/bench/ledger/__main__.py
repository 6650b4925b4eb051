"""``make bench-ledger``: the shipper beside pflogsumm and a bare COPY, on one log of real shape; and what analysts
ask of a large ledger.

CPU seconds are the steady measure; wall times want a quiet machine. About five minutes with the default of a million
lines; ``--lines 2076900`` is the log ten times over, ``--only answers --rows 50000000`` the large ledger (25 GB in
/var/tmp, an hour).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from smtpctl.ledger.connection import connect
from tests.bench.figures import Figure, amount, at_most, conclude, missing, quicker, shown
from tests.bench.ledger import asking, copying, corpus, filling, latency, peers
from tests.bench.ledger.interpreter import environment, interpreter
from tests.bench.ledger.server import Server, server

#: Of the same log, measured once: what Lightmeter's parser recognises of the delivery lines.
LIGHTMETER = "31 %"


def main() -> int:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_038_450)
    parser.add_argument("--seconds", type=float, default=20, help="of 500 lines a second")
    parser.add_argument("--rows", type=int, default=1_000_000, help="deliveries that questions are asked of; 0: none")
    parser.add_argument("--only", choices=["shipper", "answers"], help="one half of it")
    parser.add_argument("--plans", type=Path, default=Path(".bench/ledger-plans.txt"), help="where EXPLAIN goes")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    if arguments.only != "answers":
        figures += _all_of_shipping(arguments.lines, arguments.seconds)
    if arguments.only != "shipper" and arguments.rows:
        figures += _answers(arguments.rows, arguments.plans)
    return conclude(figures)


def _all_of_shipping(wanted: int, seconds: float) -> list[Figure]:
    if corpus.source() is None:
        return [missing("real log", "SMTPCTL_CORPORA names no folder with it")]
    with tempfile.TemporaryDirectory(prefix="smtpctl-bench-log-", dir="/var/tmp") as name:
        folder = Path(name)
        log = folder / "mail.log"
        lines = corpus.write(log, wanted)
        _say(f"{lines} lines, {log.stat().st_size >> 20} MiB")
        figures = [shown("lines", lines, "")]
        peer, parsing = _parsing(log)
        figures += parsing
        with server() as database:
            figures += _shipping(database, folder, log, lines, peer)
            figures += _waiting(database, folder, log, seconds)
    return figures


def _answers(rows: int, plans: Path) -> list[Figure]:
    """What analysts ask, of a ledger of a given size."""
    plans.parent.mkdir(parents=True, exist_ok=True)
    with server() as database:
        database.new_ledger()
        with connect(database.cluster.conninfo(database.database), application="bench") as connection:
            filling.fill(connection, rows)
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            counted = connection.execute("SELECT count(*) FROM ledger.deliveries").fetchone()
            assert size is not None
            assert counted is not None
            figures = [shown("deliveries asked", counted[0], ""), shown("their ledger", size[0] / (1 << 20), "MiB")]
            return figures + asking.ask(connection, plans)


def _parsing(log: Path) -> tuple[float | None, list[Figure]]:
    """(CPU seconds of pflogsumm, figures): before any database."""
    why = peers.prepare()
    peer = None if why else peers.pflogsumm(log)[0]
    command = [interpreter(), "-m", "tests.bench.ledger.parsing", str(log)]
    ours = json.loads(subprocess.run(command, env=environment(), check=True, capture_output=True).stdout)
    name = "parse, correlate, build rows: CPU"
    figures = [missing(name, why) if peer is None else quicker(name, ours["cpu"], peer, 2.0)]
    expected = _count(log, b": to=<")
    share = f"{100 * ours['recognised'] / expected:.1f} %"
    complete = ours["recognised"] == ours["attempts"] == expected
    figures.append(Figure("delivery lines recognised (peer: Lightmeter)", share, LIGHTMETER, "", "100 %", complete))
    figures.append(at_most("lines not understood", ours["unknown"], 0, ""))
    _say(figures[0].name)
    return peer, figures


def _shipping(database: Server, folder: Path, log: Path, lines: int, peer: float | None) -> list[Figure]:
    """Catching up over the whole log, in batches of three sizes; and the copying alone."""
    usual = database.ship(folder, log)
    _say("shipper end to end")
    figures = []
    for name, used, times in (
        ("shipper end to end: CPU", usual.cpu, 1.5),
        ("the same with PostgreSQL's CPU", usual.cpu + usual.server_cpu, 0.8),
    ):
        figures.append(missing(name, "no pflogsumm") if peer is None else quicker(name, used, peer, times))
    private = database.ship(folder, log, private=True)
    _say("the same, private")
    for name, used, plain in (
        ("addresses sealed: CPU", private.cpu, usual.cpu),
        ("the same with PostgreSQL's CPU", private.cpu + private.server_cpu, usual.cpu + usual.server_cpu),
    ):
        figures.append(_no_dearer(name, used, plain, 1.5))
    figures.append(at_most("memory", usual.memory / (1 << 20), 200, "MiB"))
    days = _days(database)
    alone = copying.copy(database, log, lambda: days)
    figures.append(quicker("catching up: wall, beside a bare COPY", usual.wall, alone, 0.70))
    _say("copying alone")
    walls = {}
    for size in (256 << 10, 4 << 20):
        walls[size] = database.ship(folder, log, batch_bytes=size).wall
    figures.append(quicker("commits of 256 KiB beside 4 MiB: wall", walls[256 << 10], walls[4 << 20], 0.8))
    figures.append(shown("lines shipped", lines / usual.wall, "/s"))
    return figures


def _no_dearer(name: str, ours: float, without: float, times: float) -> Figure:
    """Beside the same without it."""
    ratio = ours / without
    return Figure(name, amount(ours, "s"), amount(without, "s"), f"{ratio:.2f} x", f"<= {times:g} x", ratio <= times)


def _waiting(database: Server, folder: Path, log: Path, seconds: float) -> list[Figure]:
    """A log that grows by 500 lines a second."""
    high, share = latency.measure(database, folder, log, seconds)
    return [
        at_most("written to visible at 500 lines/s: p99", high, 1.0),
        at_most("shipper at 500 lines/s, of a core", share * 100, 2.0, "%"),
    ]


def _days(database: Server) -> list[date]:
    with database.connect() as connection:
        rows = connection.execute("SELECT DISTINCT (at AT TIME ZONE 'UTC')::date FROM ledger.deliveries").fetchall()
    return [row[0] for row in rows]


def _count(log: Path, what: bytes) -> int:
    """Lines that hold ``what``."""
    with log.open("rb") as file:
        return sum(what in line for line in file)


def _say(what: str) -> None:
    sys.stderr.write(f"bench: {what}\n")


if __name__ == "__main__":
    sys.exit(main())
