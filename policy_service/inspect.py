"""``quota``: how full the limits are, and giving quota back; and what ``explain`` reads of the database. Edge.

The rules file and the database are read here; the running service is not asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import gmtime, strftime, time

import psycopg
from psycopg.rows import TupleRow

from policy_service.database import BOUNDED
from policy_service.levels import Level, Row, level, limit_of
from policy_service.reading import read_rules
from policy_service.ruleset import RulesError, Ruleset
from policy_service.statements import sql

#: Version of every JSON answer. Readers ignore members that they do not know.
JSON_VERSION = 1

#: How the key of a held credential begins.
HELD = "held:"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``quota``."""
    common(parser)
    parser.add_argument("do", choices=("show", "reset", "grant"))
    parser.add_argument("key", nargs="?", default="", help="a key as 'show' names it; for 'show' any part of one")
    parser.add_argument("units", nargs="?", type=int, default=0, help="units to give back, for 'grant'")


def quotas(options: argparse.Namespace) -> int:
    """Print levels, or give quota back."""
    if not has_database(options):
        sys.stderr.write("error: quotas without a database are in the memory of the service alone\n")
        sys.stderr.write("HINT: --database or --database-file names it\n")
        return 2
    return with_rules(options, _quota)


def common(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where rules and quotas are."""
    parser.add_argument("--rules", type=Path, default=Path("/etc/smtpctl/policy.json"), help="rules file (JSON)")
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--database", help="PostgreSQL connection string")
    database.add_argument("--database-file", type=Path, help="file whose only line is the connection string")
    parser.add_argument("--json", action="store_true", help="print JSON")


def with_rules(options: argparse.Namespace, do: Callable[[argparse.Namespace, Ruleset], int]) -> int:
    """Do it with the rules of the file; exit code 1 where they or the database cannot be read."""
    try:
        return do(options, read_rules(options.rules))
    except (OSError, RulesError, psycopg.Error) as error:
        sys.stderr.write(f"error: {str(error).strip()}\n")
        return 1


def _quota(options: argparse.Namespace, ruleset: Ruleset) -> int:
    if options.do == "show":
        levels = []
        for row in rows(options, ruleset, options.key):
            if limit := limit_of(ruleset, row.key, time()):
                levels.append(level(row.key, limit, row))
        held = holds(options)
        if options.json:
            print_json({"quotas": [one.as_json() for one in levels], "held": held})
            return 0
        print_levels(levels)
        for credential, until in held.items():
            if options.key in f"{HELD}{credential}":
                sys.stdout.write(f"{HELD}{credential}: held until {strftime('%Y-%m-%d %H:%M:%S', gmtime(until))} UTC\n")
        return 0
    if options.key.startswith(HELD):
        return _release(options)
    return _forgive(options, ruleset)


def _release(options: argparse.Namespace) -> int:
    """End a credential's hold; the messages that are held already are released with postsuper(1)."""
    if options.do != "reset":
        sys.stderr.write(f"error: a hold is not a number\nHINT: quota reset {options.key}\n")
        return 2
    with connect(options) as connection:
        ended = connection.execute(sql("release"), {"credential": options.key.removeprefix(HELD)}).rowcount
    sys.stdout.write(f"{options.key}: {'held no longer' if ended else 'is not held'}\n")
    return 0


def holds(options: argparse.Namespace) -> dict[str, float]:
    """The credentials that are held, and until when."""
    if not has_database(options):
        return {}
    with connect(options) as connection:
        return {str(name): float(until) for name, until in connection.execute(sql("held"), {"now": time()})}


def _forgive(options: argparse.Namespace, ruleset: Ruleset) -> int:
    limit = limit_of(ruleset, options.key, time())
    if limit is None:
        sys.stderr.write(f"error: {options.key!r} is not a key of a limit\nHINT: quota show names them\n")
        return 2
    if options.do == "grant" and options.units < 1:
        sys.stderr.write(f"error: grant needs the number of {limit.counted} to give back\n")
        return 2
    values = {
        "key": options.key,
        "everything": options.do == "reset",
        "nanoseconds": min(options.units, limit.shape.count) * limit.shape.interval,
    }
    with connect(options) as connection:
        changed = connection.execute(sql("forgive"), values).rowcount
    sys.stdout.write(f"{options.key}: {'given back' if changed else 'nothing is counted'}\n")
    return 0


def rows(options: argparse.Namespace, ruleset: Ruleset, part: str) -> list[Row]:
    """How the keys stand whose names contain ``part``."""
    values = {"part": part, "processes": ruleset.processes}
    with connect(options) as connection:
        return [Row(*row) for row in connection.execute(sql("levels"), values).fetchall()]


def has_database(options: argparse.Namespace) -> bool:
    """Whether quotas are in a database; without one they are in the memory of the service alone."""
    return bool(options.database or options.database_file)


def connect(options: argparse.Namespace) -> psycopg.Connection[TupleRow]:
    conninfo = options.database
    if options.database_file:
        conninfo = options.database_file.read_text(encoding="utf-8").strip()
    return psycopg.connect(conninfo or "", autocommit=True, connect_timeout=3, options=BOUNDED)


def print_levels(levels: list[Level]) -> None:
    """A line a level."""
    for one in levels:
        retry = f", retry in {one.retry} s" if one.retry else ""
        sys.stdout.write(f"{one.key}: {one.used} used of {one.limit}, {one.room} fit now{retry}\n")


def print_json(document: Mapping[str, object]) -> None:
    """A document of this version."""
    sys.stdout.write(json.dumps({"version": JSON_VERSION, **document}, indent=2) + "\n")
