"""``explain`` and ``quota``: what the service would say and why, and how full its limits are. Edge.

Both read the rules file and the database themselves; the running service is not asked, and explaining charges nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import gmtime, strftime, time

import psycopg
from psycopg.rows import TupleRow

from policy_service.database import SESSION, sql
from policy_service.header_from import objection
from policy_service.levels import Level, Row, level, limit_of
from policy_service.protocol import POLICY_REQUEST, Request
from policy_service.rules import HEADER_FROM, RULES, Context, quota, ramp
from policy_service.rules.rule import acted
from policy_service.ruleset import Credential, Limit, RulesError, Ruleset
from policy_service.serve import read_rules

#: Version of every JSON answer. Readers ignore members that they do not know.
JSON_VERSION = 1

#: How the key of a held credential begins.
HELD = "held:"


def arguments_of_explain(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``explain``."""
    _common(parser)
    parser.add_argument("--credential", required=True, help="who signs in")
    parser.add_argument("--sender", required=True, help="envelope sender")
    parser.add_argument("--recipient", default="", help="one of its recipients")
    parser.add_argument("--client", default="", help="address that it is submitted from")
    parser.add_argument("--size", type=int, default=0, help="bytes of the message")
    parser.add_argument("--recipients", type=int, default=1, help="recipients of the message")
    parser.add_argument("--from", dest="header_from", help="value of the header From; default: the sender")


def arguments_of_quota(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``quota``."""
    _common(parser)
    parser.add_argument("do", choices=("show", "reset", "grant"))
    parser.add_argument("key", nargs="?", default="", help="a key as 'show' names it; for 'show' any part of one")
    parser.add_argument("units", nargs="?", type=int, default=0, help="units to give back, for 'grant'")


def explain(options: argparse.Namespace) -> int:
    """Print each rule's view of a message, each limit's level, and the answer at DATA."""
    return _with_rules(options, _explain)


def quotas(options: argparse.Namespace) -> int:
    """Print levels, or give quota back."""
    return _with_rules(options, _quota)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rules", type=Path, default=Path("/etc/smtpctl/policy.json"), help="rules file (JSON)")
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--database", help="PostgreSQL connection string")
    database.add_argument("--database-file", type=Path, help="file whose only line is the connection string")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _with_rules(options: argparse.Namespace, do: Callable[[argparse.Namespace, Ruleset], int]) -> int:
    try:
        return do(options, read_rules(options.rules))
    except (OSError, RulesError, psycopg.Error) as error:
        sys.stderr.write(f"error: {str(error).strip()}\n")
        return 1


def _explain(options: argparse.Namespace, ruleset: Ruleset) -> int:
    request = _request(options)
    credential = ruleset.credentials.get(options.credential.lower())
    rules = []
    context = _context(options, credential)
    for rule in RULES:
        verdict = rule.check(request, context)
        action = acted(verdict.action, ruleset.actions.get(rule.name, "")) if verdict else None
        rules.append(_view(ruleset, rule.name, rule.description, action))
    text = None
    if credential is not None:
        value = (options.header_from or options.sender).encode()
        text = objection([(b"From", value)], credential.may_use, credential.name)
    rules.append(
        _view(ruleset, HEADER_FROM, "The header From belongs to the credential.", text and f"550 5.7.1 {text}")
    )
    levels = []
    for name, description, limits in _limits_of(ruleset, credential, context.wall):
        found = list(_levels_of(options, ruleset, limits, _owners(options, ruleset, credential)))
        rules.append(_view(ruleset, name, description, _quota_view(options, limits, found)))
        levels += found
    objections = [str(view["objection"]) for view in rules if view["objection"] and view["mode"] == "enforce"]
    # A message that is held is charged and gets its pool all the same.
    objections.sort(key=lambda text: text.startswith("HOLD "))
    answer = objections[0] if objections else f"FILTER {credential.stream.filter}" if credential else "DUNNO"
    document = {"rules": rules, "quotas": [one.as_json() for one in levels], "answer": answer}
    if options.json:
        _print_json(document)
        return 0
    for view in rules:
        sys.stdout.write(f"{view['rule']:14} {view['mode']:8} {view['objection'] or 'no objection'}\n")
    _print_levels(levels)
    sys.stdout.write(f"answer         {answer}\n")
    return 0


def _request(options: argparse.Namespace) -> Request:
    values = {
        b"request": POLICY_REQUEST,
        b"protocol_state": b"DATA",
        b"sasl_username": options.credential.encode(),
        b"sender": options.sender.encode(),
        b"recipient": options.recipient.encode(),
        b"recipient_count": str(options.recipients).encode(),
        b"client_address": options.client.encode(),
        b"size": str(options.size).encode(),
    }
    return Request(b"\n".join(name + b"=" + value.replace(b"\n", b"") for name, value in values.items()))


def _view(ruleset: Ruleset, name: str, description: str, text: str | None) -> dict[str, object]:
    return {"rule": name, "mode": ruleset.mode(name), "description": description, "objection": text}


def _context(options: argparse.Namespace, credential: Credential | None) -> Context:
    """What the rules look at beside the request, out of the database."""
    wall = time()
    held = _held(options).get(credential.name, 0.0) if credential else 0.0

    def suppressed(recipient: bytes) -> bool:
        with _connect(options) as connection:
            row = connection.execute(sql("is_suppressed"), {"recipient": recipient.decode()}).fetchone()
        return bool(row and row[0])

    return Context(credential, wall, held, suppressed)


def _limits_of(
    ruleset: Ruleset, credential: Credential | None, wall: float
) -> Iterator[tuple[str, str, tuple[Limit, ...]]]:
    """The rules of limits: name, description, and the limits in force."""
    day = ramp.limit_of_day(credential, wall, ruleset.processes) if credential else None
    yield quota.NAME, quota.DESCRIPTION, credential.limits if credential else ()
    yield ramp.NAME, ramp.DESCRIPTION, (day,) if day else ()


def _owners(options: argparse.Namespace, ruleset: Ruleset, credential: Credential | None) -> dict[str, str]:
    sender = options.sender.lower()
    return {
        "credential": credential.name if credential else "",
        "sender": sender,
        "domain": sender.rpartition("@")[2],
        "client": options.client,
        "stream": credential.stream.name if credential else "",
        "provider": ruleset.provider(options.recipient.lower().rpartition("@")[2]),
    }


def _quota_view(options: argparse.Namespace, limits: Sequence[Limit], levels: Sequence[Level]) -> str | None:
    for limit in limits:
        if text := quota.beyond_burst(limit, quota.units_of(limit, options.recipients, options.size)):
            return text
    full = [one for one in levels if one.retry]
    return f"450 4.7.1 Limit of {full[0].limit} reached; retry in {full[0].retry} s" if full else None


def _levels_of(
    options: argparse.Namespace, ruleset: Ruleset, limits: Sequence[Limit], owners: Mapping[str, str]
) -> Iterator[Level]:
    for limit in limits:
        key = limit.bucket(owners)
        rows = {row.key: row for row in _rows(options, ruleset, key)}
        yield level(key, limit, rows.get(key), quota.units_of(limit, options.recipients, options.size))


def _quota(options: argparse.Namespace, ruleset: Ruleset) -> int:
    if options.do == "show":
        levels = []
        for row in _rows(options, ruleset, options.key):
            if limit := limit_of(ruleset, row.key, time()):
                levels.append(level(row.key, limit, row))
        held = _held(options)
        if options.json:
            _print_json({"quotas": [one.as_json() for one in levels], "held": held})
            return 0
        _print_levels(levels)
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
    with _connect(options) as connection:
        ended = connection.execute(sql("release"), {"credential": options.key.removeprefix(HELD)}).rowcount
    sys.stdout.write(f"{options.key}: {'held no longer' if ended else 'is not held'}\n")
    return 0


def _held(options: argparse.Namespace) -> dict[str, float]:
    with _connect(options) as connection:
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
    with _connect(options) as connection:
        changed = connection.execute(sql("forgive"), values).rowcount
    sys.stdout.write(f"{options.key}: {'given back' if changed else 'nothing is counted'}\n")
    return 0


def _rows(options: argparse.Namespace, ruleset: Ruleset, part: str) -> list[Row]:
    values = {"part": part, "processes": ruleset.processes}
    with _connect(options) as connection:
        return [Row(*row) for row in connection.execute(sql("levels"), values).fetchall()]


def _connect(options: argparse.Namespace) -> psycopg.Connection[TupleRow]:
    conninfo = options.database
    if options.database_file:
        conninfo = options.database_file.read_text(encoding="utf-8").strip()
    return psycopg.connect(conninfo or "", autocommit=True, connect_timeout=3, options=SESSION)


def _print_levels(levels: list[Level]) -> None:
    for one in levels:
        retry = f", retry in {one.retry} s" if one.retry else ""
        sys.stdout.write(f"{one.key}: {one.used} used of {one.limit}, {one.room} fit now{retry}\n")


def _print_json(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps({"version": JSON_VERSION, **document}, indent=2) + "\n")
