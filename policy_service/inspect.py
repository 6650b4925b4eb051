"""``explain`` and ``quota``: what the service would say and why, and how full its limits are. Edge.

Both read the rules file and the database themselves; the running service is not asked, and explaining charges nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from policy_service.database import SESSION, sql
from policy_service.header_from import objection
from policy_service.levels import Level, Row, level, limit_of
from policy_service.protocol import POLICY_REQUEST, Request
from policy_service.rules import HEADER_FROM, RULES, quota
from policy_service.ruleset import Credential, RulesError, Ruleset
from policy_service.serve import read_rules

#: Version of every JSON answer. Readers ignore members that they do not know.
JSON_VERSION = 1


def arguments_of_explain(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``explain``."""
    _common(parser)
    parser.add_argument("--credential", required=True, help="who signs in")
    parser.add_argument("--sender", required=True, help="envelope sender")
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
    for rule in RULES:
        verdict = rule.check(request, credential)
        rules.append(_view(ruleset, rule.name, rule.description, verdict.action if verdict else None))
    text = None
    if credential is not None:
        value = (options.header_from or options.sender).encode()
        text = objection([(b"From", value)], credential.may_use, credential.name)
    rules.append(
        _view(ruleset, HEADER_FROM, "The header From belongs to the credential.", text and f"550 5.7.1 {text}")
    )
    levels = _levels_of(options, ruleset, credential) if credential else []
    rules.append(_view(ruleset, quota.NAME, quota.DESCRIPTION, _quota_view(credential, levels, options.recipients)))
    objections = [str(view["objection"]) for view in rules if view["objection"] and view["mode"] == "enforce"]
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
        b"recipient_count": str(options.recipients).encode(),
    }
    return Request(b"\n".join(name + b"=" + value.replace(b"\n", b"") for name, value in values.items()))


def _view(ruleset: Ruleset, name: str, description: str, text: str | None) -> dict[str, object]:
    return {"rule": name, "mode": ruleset.mode(name), "description": description, "objection": text}


def _quota_view(credential: Credential | None, levels: list[Level], recipients: int) -> str | None:
    if credential is None:
        return None
    if text := quota.beyond_burst(credential, recipients):
        return text
    full = [one for one in levels if one.retry]
    return f"450 4.7.1 Limit of {full[0].limit} reached; retry in {full[0].retry} s" if full else None


def _levels_of(options: argparse.Namespace, ruleset: Ruleset, credential: Credential) -> list[Level]:
    found = []
    for limit in credential.limits:
        key = limit.bucket(credential.name if limit.key == "credential" else options.sender.lower())
        rows = {row.key: row for row in _rows(options, ruleset, key)}
        found.append(level(key, limit, rows.get(key), quota.units_of(limit, options.recipients)))
    return found


def _quota(options: argparse.Namespace, ruleset: Ruleset) -> int:
    if options.do == "show":
        levels = []
        for row in _rows(options, ruleset, options.key):
            if limit := limit_of(ruleset, row.key):
                levels.append(level(row.key, limit, row))
        if options.json:
            _print_json({"quotas": [one.as_json() for one in levels]})
        else:
            _print_levels(levels)
        return 0
    return _forgive(options, ruleset)


def _forgive(options: argparse.Namespace, ruleset: Ruleset) -> int:
    limit = limit_of(ruleset, options.key)
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
    values = {"part": part, "processes": max(len(ruleset.hosts), 1)}
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
