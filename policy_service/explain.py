"""``explain``: what every rule would say of a message, how full each of its limits is, and the answer. Edge.

It reads the rules file, the pauses and the database itself; the running service is not asked, and nothing is charged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from time import time

from policy_service import pauses
from policy_service.header_from import objection
from policy_service.inspect import common, connect, has_database, holds, print_json, print_levels, rows, with_rules
from policy_service.levels import Level, level
from policy_service.protocol import POLICY_REQUEST, Request
from policy_service.rules import HEADER_FROM, RULES, Context, invalid_recipients, quota, ramp
from policy_service.rules.rule import acted
from policy_service.ruleset import Credential, Limit, Ruleset
from policy_service.statements import sql

#: What a limit is counted by -> the option that tells it, where that is not known anyway.
UNTOLD = {"client": "--client", "provider": "--recipient"}


@dataclass(frozen=True, slots=True)
class View:
    """What one rule says. ``unasked`` names the option without which it cannot be asked."""

    rule: str
    mode: str
    description: str
    objection: str | None = None
    unasked: str | None = None

    @property
    def words(self) -> str:
        """The view in a line."""
        if self.objection or not self.unasked:
            return self.objection or "no objection"
        return f"not asked: it needs {self.unasked}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``explain``."""
    common(parser)
    parser.add_argument("--credential", required=True, help="who signs in")
    parser.add_argument("--sender", required=True, help="envelope sender; '' for <>")
    parser.add_argument("--recipient", default="", help="one of its recipients; - reads it from standard input")
    parser.add_argument("--client", default="", help="address that it is submitted from")
    parser.add_argument("--size", type=int, default=0, help="bytes of the message")
    parser.add_argument("--recipients", type=int, default=1, help="recipients of the message")
    parser.add_argument("--from", dest="header_from", help="value of the header From; default: the sender")


def explain(options: argparse.Namespace) -> int:
    """Print each rule's view of a message, each limit's level, and the answer at DATA."""
    if options.recipient == "-":
        # A command line is in the process list and in sudo's log; an address is not to be.
        options.recipient = sys.stdin.readline().strip()
    return with_rules(options, _explain)


def _explain(options: argparse.Namespace, ruleset: Ruleset) -> int:
    credential = ruleset.credentials.get(options.credential.lower())
    views: list[View] = []
    levels: list[Level] = []
    wall = time()
    views += _views_of_rules(options, ruleset, credential, wall)
    views.append(_view_of_pauses(options, credential))
    for name, description, limits in _limits_of(ruleset, credential, wall):
        untold = [option for part, option in UNTOLD.items() if any(part in limit.key for limit in limits)]
        missing = [option for option in untold if not getattr(options, option.removeprefix("--"))]
        limits = tuple(limit for limit in limits if not any(UNTOLD.get(part) in missing for part in limit.key))
        found = list(_levels_of(options, ruleset, limits, credential))
        text = _quota_text(options, limits, found)
        views.append(View(name, ruleset.mode(name), description, text, " and ".join(missing) or None))
        levels += found
    views.append(_view_of_header(options, ruleset, credential))
    answer = _answer(views, credential)
    if options.json:
        print_json(
            {"rules": [asdict(view) for view in views], "quotas": [one.as_json() for one in levels], "answer": answer}
        )
        return 0
    for view in views:
        sys.stdout.write(f"{view.rule:18} {view.mode:8} {view.words}\n")
    print_levels(levels)
    if not has_database(options):
        sys.stdout.write("no database: what the service has counted in its own memory is not seen here\n")
    sys.stdout.write(f"answer: {answer}\n")
    return 0


def _answer(views: list[View], credential: Credential | None) -> str:
    objections = [view.objection for view in views if view.objection and view.mode == "enforce"]
    # A message that is held is charged and gets its pool all the same.
    objections.sort(key=lambda text: text.startswith("HOLD "))
    if objections:
        return objections[0]
    return f"FILTER {credential.stream.filter}" if credential else "DUNNO"


def _views_of_rules(
    options: argparse.Namespace, ruleset: Ruleset, credential: Credential | None, wall: float
) -> Iterator[View]:
    held = holds(options).get(credential.name, 0.0) if credential else 0.0
    context = Context(credential, wall, held, lambda recipient: _is_suppressed(options, recipient))
    request = _request(options)
    unasked = {
        "client": "--client" if credential and credential.clients and not options.client else None,
        "suppressed": None if options.recipient else "--recipient",
    }
    for rule in RULES:
        if missing := unasked.get(rule.name):
            yield View(rule.name, ruleset.mode(rule.name), rule.description, unasked=missing)
            continue
        verdict = rule.check(request, context)
        action = acted(verdict.action, ruleset.actions.get(rule.name, "")) if verdict else None
        yield View(rule.name, ruleset.mode(rule.name), rule.description, action)
    name = invalid_recipients.NAME
    # It follows from what `suppressed` found of the recipients before, which each process counts for itself.
    yield View(name, ruleset.mode(name), invalid_recipients.DESCRIPTION)


def _view_of_pauses(options: argparse.Namespace, credential: Credential | None) -> View:
    found = None
    if credential:
        pool = credential.stream.filter.partition(":")[0]
        known = pauses.PauseFile().current()
        found = pauses.submission(known, credential.name, credential.stream.name, pool, options.sender)
    text = None
    if found:
        text = pauses.refusal(found) if found.refuse else f"HOLD paused by the operator: {found.words}"
    return View(pauses.NAME, "enforce", "Nothing about the message is paused by hand on this host.", text)


def _view_of_header(options: argparse.Namespace, ruleset: Ruleset, credential: Credential | None) -> View:
    text, value = None, options.header_from or options.sender
    if credential is not None and value:
        text = objection([(b"From", value.encode())], credential.may_use, credential.name)
    description = "The header From belongs to the credential."
    mode = ruleset.mode(HEADER_FROM)
    return View(HEADER_FROM, mode, description, text and f"550 5.7.1 {text}", None if value else "--from")


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
    return Request.of(b"\n".join(name + b"=" + value.replace(b"\n", b"") for name, value in values.items()))


def _is_suppressed(options: argparse.Namespace, recipient: bytes) -> bool:
    if not has_database(options):
        return False
    with connect(options) as connection:
        row = connection.execute(sql("is_suppressed"), {"recipient": recipient.decode()}).fetchone()
    return bool(row and row[0])


def _limits_of(
    ruleset: Ruleset, credential: Credential | None, wall: float
) -> Iterator[tuple[str, str, tuple[Limit, ...]]]:
    """The rules of limits: name, description, and the limits in force."""
    day = ramp.limit_of_day(credential, wall, ruleset.processes) if credential else None
    yield quota.NAME, quota.DESCRIPTION, credential.limits if credential else ()
    yield ramp.NAME, ramp.DESCRIPTION, (day,) if day else ()


def _levels_of(
    options: argparse.Namespace, ruleset: Ruleset, limits: tuple[Limit, ...], credential: Credential | None
) -> Iterator[Level]:
    sender = options.sender.lower()
    owners = {
        "credential": credential.name if credential else "",
        "sender": sender,
        "domain": sender.rpartition("@")[2],
        "client": options.client,
        "stream": credential.stream.name if credential else "",
        "provider": ruleset.provider(options.recipient.lower().rpartition("@")[2]),
    }
    for limit in limits:
        key = limit.bucket(owners)
        found = {row.key: row for row in rows(options, ruleset, key)} if has_database(options) else {}
        yield level(key, limit, found.get(key), quota.units_of(limit, options.recipients, options.size))


def _quota_text(options: argparse.Namespace, limits: tuple[Limit, ...], levels: list[Level]) -> str | None:
    for limit in limits:
        if text := quota.beyond_burst(limit, quota.units_of(limit, options.recipients, options.size)):
            return text
    full = [one for one in levels if one.retry]
    return f"450 4.7.1 Limit of {full[0].limit} reached; retry in {full[0].retry} s" if full else None
