"""``smtpctl why``: why mail of an address, message, provider or credential waits or failed."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import Selection, select
from smtpctl.cli.ledger_access import ledger_reader
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_foreign, print_json
from smtpctl.errors import SmtpctlError

if TYPE_CHECKING:
    from smtpctl.ledger.reader import Reader
    from smtpctl.operate.why import Facts, Finding

#: Journeys of an address or message, attempts and refusals of a provider or credential, and waiting messages looked at.
JOURNEYS, ROWS, WAITING = 20, 200, 2000
#: How far back providers and credentials are looked at.
RECENT = timedelta(hours=24)


@click.command()
@click.argument("wanted", metavar="ADDRESS|MESSAGE-ID|PROVIDER|CREDENTIAL")
@inventory_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def why(wanted: str, inventory: Path, as_json: bool) -> None:
    """Say why mail waits or failed: in sentences, with the lines that prove them, and what to do.

    Looks at the ledger, the live queues, what is paused, suppressed, held and full, and at hosts that do not answer.
    A name is a credential first, then a provider; a queue id and a Message-ID mean one message. Exits with 1 when
    something does not answer and the reasons may be incomplete.

    \b
    Examples:
      smtpctl why ada@gmail.com
      smtpctl why "<order-17@shop.example>"
      smtpctl why google
      smtpctl why shop --json
    """
    from smtpctl.operate.why import explain

    selection = select(inventory, placeholders=True)
    facts = _facts(selection, wanted)
    findings = explain(facts)
    if as_json:
        print_json({"wanted": wanted, "kind": facts.kind, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print_foreign(_text(finding))
    if facts.silent:
        sys.exit(1)


def _text(finding: Finding) -> str:
    lines = [finding.sentence, *(f"    {line}" for line in finding.evidence)]
    return "\n".join([*lines, f"  to do: {finding.remedy}"] if finding.remedy else lines)


@dataclass
class _Found:
    """What the ledger has."""

    kind: str
    ids: list[str] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    bounces: list[dict[str, Any]] = field(default_factory=list)
    suppressions: list[dict[str, Any]] = field(default_factory=list)


def _facts(selection: Selection, wanted: str) -> Facts:
    from smtpctl.model.fleet import Role
    from smtpctl.operate.asking import completed
    from smtpctl.operate.levels import Levels, ask_levels
    from smtpctl.operate.pausing import current
    from smtpctl.operate.status import ask_hosts
    from smtpctl.operate.visits import visits
    from smtpctl.operate.why import Facts

    silent: dict[str, str] = {}
    kind = _kind(selection, wanted)
    try:
        with ledger_reader(None, selection.inventory) as reader:
            found = _ledger(reader, kind, wanted)
    except SmtpctlError as error:
        silent["the ledger"] = str(error)
        found = _Found(kind or "address")
    levels = Levels()
    if found.kind == "credential":
        submission = {name: selection.targets[name] for name in selection.fleet.hosts_with(Role.SUBMISSION)}
        try:
            levels = ask_levels(submission, wanted)
        except SmtpctlError as error:
            silent["the quotas"] = str(error)
    with visits(selection.targets) as opened:
        states = ask_hosts(selection.fleet, opened)
        waiting, more = _waiting(selection, opened, found, wanted)
        silent |= {name: str(error) for name, error in opened.errors.items()}
    known = {found.kind: wanted} if found.kind in ("provider", "credential") else {}
    return Facts(
        wanted=wanted,
        kind=found.kind,
        now=time.time(),
        attempts=found.attempts,
        waiting=completed(waiting, found.attempts, known, selection.fleet),
        more_waiting=more,
        refusals=found.refusals,
        pauses=current((record for state in states.hosts.values() for record in state["paused"]), time.time()),
        suppressions=found.suppressions,
        bounces=found.bounces,
        quotas=levels.quotas,
        held={name: until for name, until in levels.held.items() if name == wanted},
        handed_over={name: state["handed_over"] for name, state in states.hosts.items() if state["handed_over"]},
        silent=silent,
    )


def _kind(selection: Selection, wanted: str) -> str:
    """What the inventory, or the form of it, says that it is; empty for an address or a Message-ID."""
    if wanted in selection.fleet.credentials:
        return "credential"
    if wanted in selection.fleet.all_providers():
        return "provider"
    return "message" if wanted.startswith("<") or "@" not in wanted else ""


def _ledger(reader: Reader, kind: str, wanted: str) -> _Found:
    from smtpctl.ledger.reader import Search
    from smtpctl.operate.asking import attempts_of, bounces_of, refusal, refusals_of, searched

    since = datetime.now(UTC) - RECENT
    if kind == "provider":
        rows = reader.search(Search(provider=wanted, since=since), None, ROWS)
        return _Found(kind, attempts=searched(rows))
    if kind == "credential":
        rows = reader.search(Search(credential=wanted, since=since), None, ROWS)
        refused = [
            refusal(row["at"], row["host"], row["instance"], row["detail"])
            for row in reader.refusals_of(wanted, since, ROWS)
        ]
        return _Found(kind, attempts=searched(rows), refusals=refused)
    answer = reader.show(wanted, JOURNEYS)
    is_message = kind == "message" or any(journey.message_id == wanted for journey in answer.journeys)
    found = _Found("message" if is_message else "address")
    found.attempts = attempts_of(answer.journeys, "" if is_message else wanted.lower())
    found.refusals = refusals_of(answer.refusals)
    found.bounces = bounces_of(answer.journeys)
    if is_message:
        found.ids = [stop.queue_id for journey in answer.journeys for stop in journey.stops]
    else:
        found.suppressions = reader.about(wanted)["suppressions"]
    return found


def _waiting(selection: Selection, opened: Any, found: _Found, wanted: str) -> tuple[list[dict[str, Any]], int]:
    """What waits, as far as it is looked at, and how much more there is."""
    from smtpctl.cli.queue import journeyed
    from smtpctl.operate.asking import waiting_of
    from smtpctl.operate.queues import FleetQueues
    from smtpctl.operate.wanted import Wanted

    match found.kind:
        case "credential":
            chosen = Wanted(credentials=(wanted,), journeyed=journeyed(selection.inventory, (wanted,)))
        case "provider":
            chosen = Wanted(providers=(wanted,))
        case "message":
            chosen = Wanted(ids=tuple(found.ids) or (wanted,))
        case _:
            chosen = Wanted(addresses=(wanted,))
    rows: list[dict[str, Any]] = []
    lock = Lock()

    def lines(host: str, instance: str, content: bytes) -> None:
        with lock:
            if len(rows) < WAITING:
                rows.extend(waiting_of(host, instance, content, wanted.lower()))

    selected = FleetQueues(selection.fleet, opened).select(chosen, on_lines=lines)
    return rows, max(selected.messages - len(rows), 0)
