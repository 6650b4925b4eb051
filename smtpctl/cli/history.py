"""``smtpctl history``: what hosts remember of earlier applies."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.fleet import select
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_json

if TYPE_CHECKING:
    from smtpctl.model.records import HistoryEntry


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@inventory_option
@click.option("--json", "as_json", is_flag=True, help="Print the history as JSON.")
def history(hosts: tuple[str, ...], inventory: Path, as_json: bool) -> None:
    """Show who changed the hosts, when, what, and how it went.

    Oldest first; the last line that was kept is what a host is on.

    \b
    Examples:
      smtpctl history -i inventory/reference.yml
      smtpctl history relay1 -i inventory/reference.yml --json
    """
    from smtpctl.cli.plan import stop_on
    from smtpctl.deploy.history import fleet_history

    selection = select(inventory, hosts, placeholders=True)
    histories, errors = fleet_history(selection.targets)
    if as_json:
        print_json({"hosts": {name: [asdict(entry) for entry in entries] for name, entries in histories.items()}})
    else:
        for entries in histories.values():
            for entry in entries:
                click.echo(_line(entry))
    stop_on(errors, len(selection.targets), selection.secrets.mask)


def _line(entry: HistoryEntry) -> str:
    when = datetime.fromtimestamp(entry.begun, UTC).strftime("%Y-%m-%d %H:%M:%S")
    outcome = f"led back: {entry.reason.splitlines()[0]}" if entry.undone else "kept"
    files = f"{len(entry.changed)} {'file' if len(entry.changed) == 1 else 'files'}"
    left = f"; left over: {entry.problems}" if entry.problems else ""
    how = f"{entry.kind}, {files}, {outcome}{left}"
    return f"{entry.host:<12} {entry.number:>4} {entry.revision}  {when}  {entry.who}  {how}"
