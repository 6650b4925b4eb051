"""``smtpctl incidents``: what concerns security, one stream over the fleet, and what somebody made of it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from smtpctl.cli.ledger_access import ledger_reader
from smtpctl.cli.ledger_search import Moment
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_foreign, print_json
from smtpctl.errors import UsageError

SEVERITIES = ("notice", "warning", "critical")
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
since_option = click.option(
    "--since", type=Moment(), default="7d", show_default=True, help="A day, a time, or how long ago: 24h, 7d."
)


@click.group()
def incidents() -> None:
    """See what concerns security, and acknowledge it: bad logins, floods, foreign senders, changed files.

    Also relay attempts, held credentials and new SSH keys. All events of one kind about one subject are one incident.
    It is open until somebody acknowledges it, and open again when it happens after that.

    \b
    Examples:
      smtpctl incidents list --severity warning
      smtpctl incidents show 3f9a01bc
      smtpctl incidents ack 3f9a01bc --why "the shop's new server, its network is entered now"
    """


@incidents.command("list")
@inventory_option
@since_option
@click.option("--severity", type=click.Choice(SEVERITIES), default="notice", show_default=True, help="The least.")
@click.option("--all", "everything", is_flag=True, help="Acknowledged ones too.")
@json_option
def list_(inventory: Path, since: datetime, severity: str, everything: bool, as_json: bool) -> None:
    """List incidents, the worst first. Exits with 1 while a critical one is open."""
    from smtpctl.operate.incidents import at_least

    with ledger_reader(None, inventory) as reader:
        rows = reader.incidents(since)
    found = at_least((row for row in rows if everything or row["open"]), severity)
    if as_json:
        print_json({"incidents": found})
    else:
        for row in found:
            print_foreign(_line(row))
        if not found:
            click.echo("no incident is open" if not everything else "no incident")
    if any(row["open"] and row["severity"] == "critical" for row in found):
        sys.exit(1)


@incidents.command()
@click.argument("identity", metavar="ID")
@inventory_option
@since_option
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many events.")
@json_option
def show(identity: str, inventory: Path, since: datetime, last: int, as_json: bool) -> None:
    """Show one incident: its events, what to do, and who has acknowledged it."""
    from smtpctl.operate.incidents import document_of

    with ledger_reader(None, inventory) as reader:
        row = document_of(_find(reader.incidents(since), identity))
        more = reader.incident(row["kind"], row["subject"], since, last)
    if as_json:
        print_json({"incident": {**row, **more}})
        return
    print_foreign(_line(row))
    click.echo(f"to do: {row['remedy']}")
    for event in more["events"]:
        origin = f" from {event['client']}" if event["client"] else ""
        print_foreign(f"  {_moment(event['at'])} {event['host']} {event['instance']}{origin}: {event['text']}")
    for mark in more["acknowledged"]:
        click.echo(f"acknowledged {_moment(mark['at'])} by {mark['who']}: {mark['why']}")


@incidents.command()
@click.argument("identities", metavar="ID...", nargs=-1, required=True)
@inventory_option
@since_option
@click.option("--why", required=True, help="What came of it, for whoever looks next.")
def ack(identities: tuple[str, ...], inventory: Path, since: datetime, why: str) -> None:
    """Acknowledge incidents: they are no longer open, until they happen again."""
    from smtpctl.transport.connection import operator

    with ledger_reader(None, inventory) as reader:
        known = reader.incidents(since)
        chosen = [_find(known, identity) for identity in identities]
        for row in chosen:
            reader.acknowledge(row["kind"], row["subject"], operator(), why)
            click.echo(f"acknowledged: {_line_of(row)}")


def _find(rows: list[dict[str, Any]], identity: str) -> dict[str, Any]:
    found = [row for row in rows if row["id"].startswith(identity)]
    if len(found) != 1:
        what = "no incident" if not found else f"{len(found)} incidents"
        raise UsageError(f"{what} {identity!r}", hint="`smtpctl incidents list --all` has them; --since looks back")
    return found[0]


def _line_of(row: dict[str, Any]) -> str:
    from smtpctl.operate.incidents import document_of

    return _line(document_of(row))


def _line(row: dict[str, Any]) -> str:
    times = f"{row['events']} times, last" if row["events"] > 1 else "once,"
    state = "" if row["open"] else f" (acknowledged by {row['acknowledged_by']}: {row['acknowledged_why']})"
    hosts = ", ".join(host for host in row["hosts"] if host)
    return f"{row['id']} {row['severity']:<8} {row['sentence']}, {times} {_moment(row['last_at'])} on {hosts}{state}"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")
