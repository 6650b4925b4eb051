"""``smtpctl ledger import`` and ``stop``: logs of no fleet, or from before there was one, into a ledger."""

from __future__ import annotations

import gc
import sys
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from smtpctl.cli.ledger_access import OWN
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.intake.importing import Progress

#: Seconds between two words about progress: on a terminal, and elsewhere.
_OFTEN, _SELDOM = 0.5, 10.0


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--database", metavar="URL", envvar="SMTPCTL_LEDGER", help="Into this database instead of the own one.")
@click.option("--host", help="Name of the host; default: what the first line says.")
@click.option("--timezone", metavar="ZONE", help="Of stamps that name none; default: this machine's.")
def import_(files: tuple[Path, ...], database: str | None, host: str | None, timezone: str | None) -> None:
    """Take mail logs into a ledger: years of them, also .gz and .xz, in any order.

    Needs no fleet and no database: a private PostgreSQL is made and started in your state folder (Unix socket only),
    and every other `ledger` command asks it where no inventory is named. What was imported before is not imported
    again, under whatever name it lies there now; an import that was interrupted goes on.

    \b
    Examples:
      smtpctl ledger import /var/log/mail.log*
      smtpctl ledger import --timezone Europe/Berlin old/mail-2025*.xz
    """
    from smtpctl.intake.importing import Importer, host_of, labels_of_no_fleet, sources_of
    from smtpctl.ledger.connection import connect
    from smtpctl.ledger.server import OwnServer, state_folder
    from smtpctl.ledger.sums import sum_up

    zone = _zone(timezone)
    sources = sources_of(files, zone)
    if not sources:
        raise UsageError("none of these files has a line")
    reached = OwnServer(state_folder()).ready() if database in (None, OWN) else database
    say = _Saying()
    started = time.monotonic()
    # rows hold no cycles; looking for some is a sixth of the work
    gc.disable()
    with connect(reached or "", application="smtpctl", options="-c synchronous_commit=off") as connection:
        importer = Importer(connection, host or host_of(sources[0]), labels_of_no_fleet(), zone, say)
        progress = importer.run(sources)
        connection.execute("ANALYZE ledger.subjects, ledger.messages, ledger.deliveries, ledger.events")
        sum_up(connection)
    say.end()
    seconds = time.monotonic() - started
    known = f", {progress.skipped_files} files had nothing new" if progress.skipped_files else ""
    click.echo(f"{progress.lines} lines of {len(sources)} files in {seconds:.1f} s{known}")


@click.command()
def stop() -> None:
    """Stop the private PostgreSQL of your own ledger; the next command starts it again."""
    from smtpctl.ledger.server import OwnServer, state_folder

    click.echo("stopped" if OwnServer(state_folder()).stop() else "was not running")


class _Saying:
    """Says how far an import is, on stderr, once it takes over a second."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._next = self._started + 1
        self._said = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        share = 100 * (progress.done_bytes + progress.here_bytes) / max(1, progress.all_bytes)
        rate = progress.lines / (now - self._started)
        line = f"{progress.file}: {progress.lines} lines, {rate:,.0f} a second, {share:.0f} % of all files"
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
            self._said = True
        else:
            click.echo(line, err=True)
        self._next = now + (_OFTEN if self._said else _SELDOM)

    def end(self) -> None:
        """Leave the line."""
        if self._said:
            click.echo(err=True)


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return datetime.now().astimezone().tzinfo or UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"{name!r} is no time zone", hint="write one such as Europe/Berlin") from error
