"""``smtpctl ledger search`` and ``top``: attempts that fulfil conditions, and what is most frequent."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from smtpctl.cli.ledger_access import database_options, ledger_reader
from smtpctl.cli.output import JSON_VERSION, print_foreign, print_json
from smtpctl.errors import UsageError

#: What may be counted -> its column.
COLUMNS = {
    "domains": "domain",
    "providers": "provider",
    "replies": "reply",
    "categories": "category",
    "codes": "dsn",
    "relays": "relay_name",
    "pools": "pool",
    "streams": "stream",
    "credentials": "credential",
    "hosts": "host",
}


class Moment(click.ParamType[datetime]):
    """A day, a time, or how long ago: ``2026-11-20``, ``2026-11-20T10:00:00+01:00``, ``90m``, ``24h``, ``7d``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        units = {"m": "minutes", "h": "hours", "d": "days"}
        if isinstance(value, str) and value[:-1].isdecimal() and value[-1] in units:
            return datetime.now(UTC) - timedelta(**{units[value[-1]]: int(value[:-1])})
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-11-20, 2026-11-20T10:00:00Z or 24h", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _next_page(text: str) -> tuple[datetime, int]:
    at, _, number = text.rpartition("/")
    try:
        return datetime.fromisoformat(at), int(number)
    except ValueError:
        raise UsageError(
            f"{text!r} is no place in a search", hint="give what the page before said after --after"
        ) from None


@click.command()
@click.option("--address", help="Recipient (also what an alias led from), or envelope sender.")
@click.option("--domain", help="Domain of the recipient.")
@click.option("--credential", help="What the message was submitted with.")
@click.option("--stream")
@click.option("--provider")
@click.option("--status", help="sent, deferred, bounced, expired, …")
@click.option("--category", help="Why it failed: invalid_mailbox, content, rate, …")
@click.option("--text", help="What the reply holds, in whatever case.")
@click.option("--since", type=Moment(), help="A time (UTC unless it says), or how long ago: 24h, 7d.")
@click.option("--until", type=Moment())
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Rows of a page.")
@click.option("--after", metavar="PLACE", help="Go on after a page: what it said at its end.")
@click.option("--format", "form", type=click.Choice(["text", "csv", "jsonl"]), default="text", show_default=True)
@database_options
def search(limit: int, after: str | None, form: str, database: str | None, inventory: Path, **conditions: Any) -> None:
    """Find attempts by any of address, domain, credential, stream, provider, status, category, text and time.

    The latest come first. Where there are more, stderr says how to get the next page.

    \b
    Examples:
      smtpctl ledger search --provider microsoft --status bounced --since 7d
      smtpctl ledger search --text 'greylist' --since 24h --format csv > greylisted.csv
      smtpctl ledger search --domain example.com --limit 1000 --format jsonl | jq .reply
    """
    from smtpctl.ledger.reader import Search

    before = _next_page(after) if after else None
    with ledger_reader(database, inventory) as reader:
        rows = reader.search(Search(**conditions), before, limit + 1)
    page = rows[:limit]
    {"text": _print_text, "csv": _print_csv, "jsonl": _print_lines}[form](page)
    if len(rows) > limit:
        last = page[-1]
        click.echo(f"There is more: --after {last['at'].astimezone(UTC).isoformat()}/{last['id']}", err=True)


@click.command()
@click.argument("what", type=click.Choice(list(COLUMNS)))
@click.option("--since", type=Moment(), default="24h", show_default=True, help="A time, or how long ago.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@database_options
def top(what: str, since: datetime, limit: int, as_json: bool, database: str | None, inventory: Path) -> None:
    """Show the most frequent domains, providers, replies, … of attempts towards the outside.

    Replies, categories and codes are those of failed attempts. Whole hours count; for domains and relays, whole days
    (UTC).

    \b
    Examples:
      smtpctl ledger top replies --since 7d
      smtpctl ledger top domains --limit 50 --json
    """
    with ledger_reader(database, inventory) as reader:
        rows = reader.top(COLUMNS[what], since, limit)
    if as_json:
        print_json({"top": rows})
        return
    click.echo(f"{'attempts':>9} {'sent':>9} {'deferred':>9} {'failed':>9}  {what}")
    for row in rows:
        print_foreign(f"{row['attempts']:>9} {row['sent']:>9} {row['deferred']:>9} {row['failed']:>9}  {row['what']}")


def _print_text(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        at = row["at"].astimezone(UTC)
        verdict = f" {row['hardness']}: {row['category']}" if row["hardness"] else ""
        where = " ".join(filter(None, (row["provider"], row["transport"], row["relay_name"])))
        print_foreign(
            f"{at:%Y-%m-%d %H:%M:%S}  {row['host']}  {row['queue_id']}  {row['status']} {row['dsn'] or ''}"
            f"  <{row['recipient']}>  {where}{verdict}  {row['reply'] or ''}"
        )


def _print_csv(rows: list[dict[str, Any]]) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "at": row["at"].astimezone(UTC).isoformat()} for row in rows)


def _print_lines(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        line = {"version": JSON_VERSION, **row, "at": row["at"].astimezone(UTC).isoformat()}
        print_foreign(json.dumps(line, default=str, ensure_ascii=False))
