"""``smtpctl ledger``: what became of mail."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from smtpctl.cli.ledger_access import database_options, ledger_reader
from smtpctl.cli.ledger_audit import audit
from smtpctl.cli.ledger_classify import classify
from smtpctl.cli.ledger_import import import_, stop
from smtpctl.cli.ledger_parse import parse
from smtpctl.cli.ledger_search import search, top
from smtpctl.cli.ledger_sql import sql
from smtpctl.cli.output import JSON_VERSION, print_foreign, print_json

#: Seconds between two looks of `tail`.
_LOOK = 0.5


@click.group()
def ledger() -> None:
    """Ask the ledger what became of messages.

    \b
    Examples:
      smtpctl ledger show someone@example.com
      smtpctl ledger show 4jX5vT1sY3zJk9D -i inventory/lab.yml --json
      smtpctl ledger tail -i inventory/lab.yml
      smtpctl ledger search --provider google --status deferred --since 2026-11-20
      smtpctl ledger import /var/log/mail.log*
    """


for command in (search, top, sql, import_, parse, classify, audit, stop):
    ledger.add_command(command)

_json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


@ledger.command()
@click.argument("wanted", metavar="ADDRESS|MESSAGE-ID|QUEUE-ID")
@click.option("--last", default=5, show_default=True, type=click.IntRange(1, 1000), help="Most journeys to show.")
@_json_option
@database_options
def show(wanted: str, last: int, as_json: bool, database: str | None, inventory: Path) -> None:
    """Show the journey of a message over the hosts: every step, and the time it took.

    An address gives the latest messages to it, else from it; a Message-ID may stand in its angle brackets. Exits 1 when
    the ledger knows nothing of it.
    """
    from smtpctl.cli.journey import document_of, refusal_document, refusal_text, text_of

    with ledger_reader(database, inventory) as reader:
        answer = reader.show(wanted, last)
    if as_json:
        journeys = [document_of(journey) for journey in answer.journeys]
        print_json({"journeys": journeys, "refusals": [refusal_document(event) for event in answer.refusals]})
    else:
        for journey in reversed(answer.journeys):
            print_foreign("\n".join((*text_of(journey), "")))
        if answer.refusals:
            click.echo("Refused:")
        for refusal in reversed(answer.refusals):
            print_foreign(f"  {refusal_text(refusal)}")
    if not answer.journeys and not answer.refusals:
        if not as_json:
            click.echo(f"The ledger knows nothing of {wanted}.", err=True)
        raise click.exceptions.Exit(1)


@ledger.command()
@_json_option
@database_options
def tail(as_json: bool, database: str | None, inventory: Path) -> None:
    """Follow attempts and refusals of all hosts as they come in, until interrupted."""
    with ledger_reader(database, inventory) as reader:
        since, _ = reader.news(None)
        while True:
            since, rows = reader.news(since)
            for row in rows:
                print_foreign(_tail_json(row) if as_json else _tail_text(row))
            time.sleep(_LOOK)


@ledger.command()
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1), help="How far back.")
@_json_option
@database_options
def stats(hours: int, as_json: bool, database: str | None, inventory: Path) -> None:
    """Count attempts towards the outside by stream, provider and status, with the median and 99th percentile of the
    delay of what was sent (within 5 percent)."""
    with ledger_reader(database, inventory) as reader:
        rows = reader.stats(datetime.now(UTC) - timedelta(hours=hours))
    if as_json:
        print_json({"stats": rows})
        return
    click.echo(f"{'stream':<16} {'provider':<16} {'status':<12} {'attempts':>9} {'median':>9} {'p99':>9}")
    for row in rows:
        median, high = ("-" if row[name] is None else f"{row[name]:.2f} s" for name in ("delay_median", "delay_p99"))
        click.echo(
            f"{row['stream']:<16} {row['provider']:<16} {row['status']:<12} {row['attempts']:>9} {median:>9} {high:>9}"
        )


def _tail_json(row: dict[str, Any]) -> str:
    return json.dumps({"version": JSON_VERSION, **row}, default=str, ensure_ascii=False)


def _tail_text(row: dict[str, Any]) -> str:
    at = row["at"].astimezone(UTC)
    stamp = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03}"
    verdict = f" {row['hardness']}: {row['category']}" if row["hardness"] else ""
    where = " ".join(filter(None, (row["provider"], row["transport"], row["relay_name"])))
    recipient = f"<{row['recipient']}>" if row["recipient"] else "-"
    took = "" if row["delay"] is None else f" {row['delay']:.3g} s"
    return (
        f"{stamp}  {row['host']}  {row['queue_id']}  {row['status']} {row['dsn'] or ''}  {recipient}  {where}"
        f"{took}{verdict}  {row['reply'] or ''}"
    )
