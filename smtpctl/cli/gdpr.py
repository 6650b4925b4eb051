"""``smtpctl gdpr``: what the fleet holds about an address, and its erasure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.ledger_access import fleet_ledger
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_json, progress
from smtpctl.errors import SmtpctlError

if TYPE_CHECKING:
    from smtpctl.cli.fleet import Selection

#: Journeys in an export; who has more is no person.
_MOST = 10_000


@click.group()
def gdpr() -> None:
    """Export or erase what the fleet holds about an address (GDPR, articles 15 and 17).

    \b
    Examples:
      smtpctl gdpr export someone@example.com > someone.json
      smtpctl gdpr erase someone@example.com > receipt.json
      smtpctl gdpr verify receipt.json
    """


@gdpr.command()
@click.argument("address")
@inventory_option
def export(address: str, inventory: Path) -> None:
    """Print everything about ADDRESS in the ledger as JSON, signed."""
    from smtpctl.cli.journey import document_of, refusal_document
    from smtpctl.ledger.receipts import signed

    with fleet_ledger(inventory) as ledger:
        answer = ledger.reader.show(address, _MOST)
        told = {
            "what": "export",
            "address": address,
            "at": _now(),
            "journeys": [document_of(journey) for journey in answer.journeys],
            "refusals": [refusal_document(event) for event in answer.refusals],
            "about": ledger.reader.about(address),
        }
        print_json(signed(_plain(told), bytes.fromhex(ledger.selection.secrets["ledger/receipts/private"])))


@gdpr.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@inventory_option
def erase(address: str, yes: bool, inventory: Path) -> None:
    """Erase ADDRESS: from the queues, and from the ledger with everything that was ever dumped of it.

    The key of the address is destroyed. What stays is a hash, by which lines that are still to come are known to be of
    somebody erased, and a suppression if there was one. Prints a signed receipt.
    """
    from smtpctl.ledger.erasure import erase as erase_subject
    from smtpctl.ledger.receipts import signed

    if not yes and not click.confirm(f"Erase {address} for good?", err=True):
        raise click.Abort
    with fleet_ledger(inventory) as ledger:
        if ledger.opener is None:
            raise SmtpctlError(
                "this ledger keeps addresses in clear, also in dumps and in its write-ahead log",
                hint="privacy: on in the inventory seals those that come from then on",
            )
        queued = _delete_from_queues(ledger.selection, address)
        erased = erase_subject(ledger.connection, ledger.opener, ledger.lookup_keys, address)
        fleet, secrets = ledger.selection.fleet, ledger.selection.secrets
        logs_end = datetime.now(UTC) + timedelta(seconds=fleet.retention.logs)
        receipt = {
            "what": "erasure",
            "fleet": fleet.fleet,
            "at": _now(),
            "subject": erased.subject,
            "hash": ledger.lookup_keys[0].hash(address.lower().encode()).hex(),
            "keys_destroyed": erased.keys_ended,
            "queues": queued,
            "kept": "a keyed hash of the address; a suppression, by that hash, if there was one",
            "mail_logs_end": logs_end.replace(microsecond=0).isoformat(),
        }
        print_json(signed(receipt, bytes.fromhex(secrets["ledger/receipts/private"])))


@gdpr.command()
@click.argument("receipt", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@inventory_option
def verify(receipt: Path, inventory: Path) -> None:
    """Check that RECEIPT was made with this fleet's key, and says what it said then. Exits 1 when it does not."""
    from smtpctl.cli.loading import load
    from smtpctl.ledger.receipts import is_genuine

    _, secrets = load(inventory)
    if not is_genuine(json.loads(receipt.read_text()), bytes.fromhex(secrets["ledger/receipts/public"])):
        raise SmtpctlError(f"{receipt} is not genuine")
    click.echo("genuine")


def _delete_from_queues(selection: Selection, address: str) -> dict[str, int]:
    """Delete what waits for nobody else; messages with other recipients stay until they are done."""
    from smtpctl.operate.queues import FleetQueues
    from smtpctl.operate.visits import visits
    from smtpctl.operate.wanted import Wanted

    with visits(selection.targets) as opened:
        queues = FleetQueues(selection.fleet, opened)
        selected = queues.select(Wanted(addresses=(address,)))
        shared = sum(count.others for count in selected.counts)
        if shared:
            progress(f"{shared} queued messages have other recipients too, and stay until they are delivered")
        deleted = 0
        if selected.messages and not shared:
            acted = queues.act("delete", lambda _host, _messages: None)
            deleted = sum(sum(found.values()) for found in acted.values())
        for error in opened.errors.values():
            raise error
    return {"deleted": deleted, "waiting": selected.messages - deleted}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
