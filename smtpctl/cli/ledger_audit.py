"""``smtpctl ledger audit``: the ledger held against the live queues."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import select
from smtpctl.cli.ledger_access import ledger_reader
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_error, print_json, progress

if TYPE_CHECKING:
    from smtpctl.ledger.reader import Reader
    from smtpctl.operate.audit import Audit, Identity, Look
    from smtpctl.operate.queues import FleetQueues
    from smtpctl.operate.visits import Visits

#: Seconds between two looks.
_PAUSE = 2.0
#: Differences that are named; the others are counted.
_NAMED = 20


@click.command()
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1), help="How far back messages count.")
@click.option(
    "--patience",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    help="Seconds that a difference may last: the ledger runs a little behind the queues.",
)
@click.option("--host", "hosts", multiple=True, help="Only this host; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@inventory_option
@click.option("--database", metavar="URL", envvar="SMTPCTL_LEDGER", help="The ledger, in place of the inventory's.")
def audit(
    hours: int, patience: int, hosts: tuple[str, ...], as_json: bool, inventory: Path, database: str | None
) -> None:
    """Prove that the ledger accounts for every message: accepted = delivered + bounced + expired + discarded +
    deleted + requeued + in queue, per host and for the fleet, with "in queue" held against all hosts' live queues.

    Exits 1 on a difference, or when a host did not answer, and writes an event of kind `audit` into the ledger.

    \b
    Examples:
      smtpctl ledger audit -i inventory/lab.yml
      smtpctl ledger audit --hours 168 --json
    """
    from smtpctl.operate.audit import Audit, accounts_of, differences
    from smtpctl.operate.queues import FleetQueues
    from smtpctl.operate.visits import visits

    selection = select(inventory, hosts, placeholders=True)
    since = datetime.now(UTC) - timedelta(hours=hours)
    with ledger_reader(database, inventory) as reader, visits(selection.targets) as opened:
        queues = FleetQueues(selection.fleet, opened)
        looks = [_look(reader, queues, opened)]
        deadline = time.monotonic() + patience
        while any(differences(looks)) and time.monotonic() < deadline:
            progress(f"{_count(differences(looks))} differ; looking again")
            time.sleep(_PAUSE)
            looks.append(_look(reader, queues, opened))
        rows = [row for row in reader.audit(since) if row[0] in opened.hosts]
        result = Audit(accounts_of(rows), *differences(looks))
        for error in opened.errors.values():
            print_error(str(error), error.hint)
        if result.differs:
            reader.record_audit(_detail(result))
        if as_json:
            print_json(_document(result, opened))
        else:
            _show(result)
        if result.differs or opened.errors:
            raise click.exceptions.Exit(1)


def _look(reader: Reader, queues: FleetQueues, opened: Visits) -> Look:
    """The ledger before and after the queues: what it had at either time may have been in them."""
    from smtpctl.operate.audit import Look, short_name
    from smtpctl.operate.wanted import Wanted

    def known() -> set[Identity]:
        return {(host, short_name(instance), queue_id) for host, instance, queue_id in reader.waiting()}

    live: set[Identity] = set()

    def lines(host: str, instance: str, content: bytes) -> None:
        live.update((host, instance, json.loads(line)["queue_id"]) for line in content.splitlines())

    before = known()
    queues.select(Wanted(), on_lines=lines)
    after = known()
    asked = {identity for identity in before & after if identity[0] in opened.hosts}
    # What the ledger had once is known to it; what it has both times and no queue has is gone.
    return Look(frozenset(asked | (live & (before | after))), frozenset(live))


def _count(found: tuple[list[Identity], list[Identity]]) -> int:
    return sum(map(len, found))


def _detail(result: Audit) -> dict[str, Any]:
    return {
        "unknown": [" ".join(identity) for identity in result.unknown[:_NAMED]],
        "vanished": [" ".join(identity) for identity in result.vanished[:_NAMED]],
        "messages": len(result.unknown) + len(result.vanished) + result.unexplained,
    }


def _document(result: Audit, opened: Visits) -> dict[str, Any]:
    return {
        "accounts": [
            {"host": account.host, "instance": account.instance, "accepted": account.accepted, **account.outcomes}
            for account in result.accounts
        ],
        "unknown": [list(identity) for identity in result.unknown],
        "vanished": [list(identity) for identity in result.vanished],
        "unexplained": result.unexplained,
        "unanswered": sorted(opened.errors),
        "differs": result.differs,
    }


def _show(result: Audit) -> None:
    columns = ("delivered", "bounced", "expired", "discarded", "deleted", "requeued", "in queue", "not accounted for")
    headings = ("accepted", *columns)
    click.echo(f"{'host':<12} {'instance':<16} " + " ".join(f"{name:>9}" for name in headings))
    totals = dict.fromkeys(headings, 0)
    for account in result.accounts:
        counts = {"accepted": account.accepted} | {name: account.outcomes.get(name, 0) for name in columns}
        for name, count in counts.items():
            totals[name] += count
        click.echo(f"{account.host:<12} {account.instance:<16} " + " ".join(f"{counts[name]:>9}" for name in headings))
    click.echo(f"{'fleet':<12} {'':<16} " + " ".join(f"{totals[name]:>9}" for name in headings))
    for what, found in (("in a queue, unknown to the ledger", result.unknown), ("in no queue", result.vanished)):
        for host, instance, queue_id in found[:_NAMED]:
            print_error(f"{host} {instance} {queue_id}: {what}")
        if len(found) > _NAMED:
            print_error(f"{len(found) - _NAMED} more: {what}")
    if result.unexplained:
        print_error(f"{result.unexplained} messages left without an attempt, or no line told how they ended")
