"""``smtpctl pause`` and ``resume``: the stop button."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import Selection, select
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_error, print_json, progress
from smtpctl.cli.queue_options import AGE
from smtpctl.errors import SmtpctlError, UsageError

if TYPE_CHECKING:
    from smtpctl.operate.pauses import Told
    from smtpctl.transport.agent.pauses import Record

KINDS = ("credential", "stream", "pool", "provider", "source", "sender-domain", "campaign", "client")

kind_argument = click.argument("kind", required=False, type=click.Choice(KINDS))
value_argument = click.argument("value", required=False)
all_option = click.option("--all-outbound", is_flag=True, help="Everything that leaves the fleet.")
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command()
@kind_argument
@value_argument
@inventory_option
@all_option
@click.option("--refuse", is_flag=True, help="Refuse new mail of it (554) instead of letting it wait.")
@click.option("--why", default="", help="The reason, for whoever sees it.")
@click.option("--for", "duration", type=AGE, help="End by itself after this time.")
@json_option
def pause(
    kind: str | None,
    value: str | None,
    inventory: Path,
    all_outbound: bool,
    refuse: bool,
    why: str,
    duration: int | None,
    as_json: bool,
) -> None:
    """Stop mail of a credential, stream, pool, provider, source, sender domain or campaign; or all of it.

    It takes hold on every host within seconds, without an apply, and lasts until `smtpctl resume`. What is paused
    waits in the queues. A host that is off learns of it from the others before its Postfix starts. Without arguments:
    what is paused. A `client` is an address that every host's firewall turns away; smtpctl-guard does so by itself to
    who guesses passwords, and `smtpctl resume client ADDRESS` lets it in again.

    \b
    Examples:
      smtpctl pause credential shop --refuse --why "site broken into"
      smtpctl pause provider google --for 30m
      smtpctl pause campaign "X-Campaign: spring-sale"
      smtpctl pause --all-outbound --why "wrong price list"
      smtpctl pause client 192.0.2.9 --for 2d
      smtpctl pause
    """
    kind, value = _what(kind, value, all_outbound)
    selection = select(inventory, placeholders=True)
    if kind is None:
        _show(selection, as_json)
        return
    from smtpctl.operate.pausing import Pressed, record_of
    from smtpctl.transport.connection import operator

    now = time.time()
    until = now + duration if duration else None
    pressed = Pressed(kind, value or "", refuse, operator(), why, since=now, until=until)
    record = record_of(pressed, selection.fleet, uuid.uuid4().hex[:12])
    _tell(selection, [record], _on_relays(selection, record), as_json)


@click.command()
@kind_argument
@value_argument
@inventory_option
@all_option
@json_option
def resume(kind: str | None, value: str | None, inventory: Path, all_outbound: bool, as_json: bool) -> None:
    """Let mail go on that was paused.

    What waited is tried now.

    \b
    Examples:
      smtpctl resume credential shop
      smtpctl resume --all-outbound
    """
    kind, value = _what(kind, value, all_outbound)
    if kind is None:
        raise UsageError("resume what?", hint="`smtpctl pause` lists what is paused")
    from smtpctl.operate.pauses import tell
    from smtpctl.operate.pausing import current, ended
    from smtpctl.operate.visits import visits
    from smtpctl.transport.connection import operator

    selection = select(inventory, placeholders=True)
    with visits(selection.targets) as opened:
        known = current(tell(opened, []).records, time.time())
    mine = [record for record in known if record["kind"] == kind and record["value"] == (value or "")]
    if not mine:
        raise UsageError(f"not paused: {kind} {value or ''}".rstrip(), hint="`smtpctl pause` lists what is paused")
    _tell(selection, [ended(record, time.time(), operator()) for record in mine], {}, as_json)


def _what(kind: str | None, value: str | None, all_outbound: bool) -> tuple[str | None, str | None]:
    if all_outbound:
        if kind is not None:
            raise UsageError("--all-outbound stands alone")
        return "all-outbound", ""
    if kind is not None and value is None:
        raise UsageError(f"which {kind}?", hint=f"smtpctl pause {kind} NAME")
    return kind, value


def _tell(selection: Selection, records: list[Record], held: dict[str, Any], as_json: bool) -> None:
    from smtpctl.operate.pauses import tell
    from smtpctl.operate.pausing import current, words
    from smtpctl.operate.visits import visits

    began = time.monotonic()
    with visits(selection.targets) as opened:
        told = tell(opened, records, held)
        reached = len(opened.hosts)
    seconds = time.monotonic() - began
    if as_json:
        print_json({"pauses": current(told.records, time.time()), "late": told.late, "silent": sorted(opened.errors)})
    else:
        for record in records:
            click.echo(f"{'resumed' if record['ended'] else 'paused'}: {words(record)}")
        progress(f"{reached} of {len(selection.targets)} hosts, {seconds:.1f} s")
    _complain(told, opened.errors)


def _complain(told: Told, errors: dict[str, SmtpctlError]) -> None:
    for name in told.late:
        print_error(f"{name}: knows it, and its queues have not come to it yet", "journalctl -u smtpctl-pauses there")
    for error in errors.values():
        print_error(str(error), error.hint)
    if errors:
        print_error(
            f"not reached: {', '.join(errors)}", "once up, they learn of it from the other hosts, before Postfix starts"
        )
    if told.late or errors:
        sys.exit(1)


def _show(selection: Selection, as_json: bool) -> None:
    from smtpctl.operate.pauses import tell
    from smtpctl.operate.pausing import current
    from smtpctl.operate.visits import visits

    with visits(selection.targets) as opened:
        told = tell(opened, [])
    found = current(told.records, time.time())
    if as_json:
        print_json({"pauses": found, "silent": sorted(opened.errors)})
    else:
        for line in lines_of(found):
            click.echo(line)
        if not found:
            click.echo("nothing is paused")
    _complain(told, opened.errors)


def lines_of(records: Iterable[Record]) -> list[str]:
    """What is paused, a line each: what, how, by whom, since when, until when, why."""
    from smtpctl.operate.pausing import words

    return [
        f"PAUSED: {words(record)} ({'refused' if record['action'] == 'refuse' else 'waits'}), by {record['who']} since "
        f"{_moment(record['since'])}{', until ' + _moment(record['until']) if record['until'] else ''}"
        f"{': ' + record['why'] if record['why'] else ''}"
        for record in records
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _on_relays(selection: Selection, record: Record) -> dict[str, dict[str, list[str]]]:
    """What relays have of a credential, which only the ledger knows; nothing where it is away, which is said."""
    if record["kind"] != "credential":
        return {}
    from smtpctl.cli.queue import journeyed

    found = journeyed(selection.inventory, (record["value"],))
    return {
        host: {f"{record['id']}/{instance}": ids for instance, ids in instances.items()}
        for host, instances in found.items()
    }
