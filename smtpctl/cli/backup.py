"""``smtpctl backup`` and ``restore``: a fleet's data in a folder, and a fleet out of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_json, progress
from smtpctl.errors import SmtpctlError, UsageError

if TYPE_CHECKING:
    from smtpctl.model.secrets import Secrets
    from smtpctl.operate.backup.manifest import Manifest
    from smtpctl.operate.backup.taking import Source

_folder = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_folder)
@inventory_option
@click.option("--keys", "only_keys", is_flag=True, help="Only the ledger's keys: after every `gdpr erase`.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def backup(folder: Path, inventory: Path, only_keys: bool, as_json: bool) -> None:
    """Write a backup: ledger, keys, mailboxes, inventory, encrypted for those who can open the secrets.

    It goes to a new folder of FOLDER: inventory and secrets; the ledger's database; the mailboxes; a manifest with
    versions, counts and checksums. The ledger's keys go to FOLDER/keys.age, which every backup replaces: an older copy
    would undo an erasure. Queues are in no backup: a message that comes back is sent twice.

    \b
    Examples:
      smtpctl backup /srv/backup -i fleet.yml
      smtpctl backup /srv/backup -i fleet.yml --keys
    """
    from smtpctl.cli.fleet import select
    from smtpctl.operate.backup import taking

    selection = select(inventory)
    source = taking.Source(inventory, selection.fleet, selection.targets)
    now = datetime.now(UTC)
    if only_keys:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = taking.keep_keys(source, folder)
        if as_json:
            print_json({"keys": None if part is None else str(folder / taking.KEYS)})
        else:
            click.echo("the ledger is not private: there are no keys" if part is None else folder / taking.KEYS)
        return
    place = folder / now.strftime("%Y-%m-%dT%H%M%SZ")
    manifest = taking.take(source, place, now.isoformat(timespec="seconds"), progress)
    if as_json:
        print_json({"folder": str(place), "manifest": asdict(manifest)})
        return
    _show(place, manifest)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-i",
    "--inventory",
    type=click.Path(dir_okay=False, path_type=Path),
    default="inventory.yml",
    envvar="SMTPCTL_INVENTORY",
    show_default=True,
    help="The fleet; --files needs none.",
)
@click.option("--files", "files_into", type=_folder, help="Only write inventory and secrets of the backup there.")
@click.option(
    "--erased",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Receipt of an erasure that is younger than the copy of the keys; may be given again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as JSON. Needs --yes.")
def restore(
    folder: Path, inventory: Path, files_into: Path | None, erased: tuple[Path, ...], yes: bool, as_json: bool
) -> None:
    """Restore a backup into a fleet.

    FOLDER is the one with the manifest. On a new machine: first the files, then an apply with them, then the data. The
    ledger of the backup takes the place of the one that is there, whole or not at all; mail is added to the mailboxes.

    \b
    Examples:
      smtpctl restore /srv/backup/2026-11-22T041500Z --files fleet
      smtpctl apply fleet/fleet.yml
      smtpctl restore /srv/backup/2026-11-22T041500Z -i fleet/fleet.yml --erased receipts/17.json
    """
    from smtpctl.cli.fleet import select
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.operate.backup import restoring
    from smtpctl.operate.backup.taking import Source

    manifest = restoring.read_manifest(folder)
    identity = load_identity(identity_path())
    if files_into is not None:
        names = restoring.write_files(folder, identity, files_into)
        if as_json:
            print_json({"files": [str(files_into / name) for name in names]})
        for name in () if as_json else names:
            click.echo(files_into / name)
        return
    if as_json and not yes:
        raise UsageError("--json cannot ask", hint="add --yes")
    selection = select(inventory)
    source = Source(inventory, selection.fleet, selection.targets)
    if manifest.fleet != source.fleet.fleet:
        raise UsageError(f"the backup is of fleet {manifest.fleet}, the inventory of {source.fleet.fleet}")
    question = f"Replace the ledger of fleet {manifest.fleet} by that of {manifest.at}?"
    if not yes and not click.confirm(question, err=True):
        raise click.Abort
    receipts = _hashes(erased, selection.secrets)
    sealed = source.fleet.privacy == "on"
    reading = bytes.fromhex(selection.secrets["ledger/reading/private"]) if sealed else b""
    progress("ledger")
    restored = restoring.restore_ledger(source, folder, identity, reading)
    progress("mailboxes")
    restoring.restore_mailboxes(source, folder, identity)
    again = _erase_again(inventory, receipts) if receipts else 0
    changed = _other_revisions(source, manifest)
    if as_json:
        print_json({**asdict(restored), "erased_again": again, "other_revisions": changed})
        return
    click.echo(f"ledger: {sum(restored.rows.values())} rows in {len(restored.rows)} tables, as in the backup")
    click.echo(f"keys: {restored.keys} from the copy; {restored.renewed} places got new ones")
    click.echo(f"mailboxes: {manifest.mailboxes} messages")
    if receipts:
        click.echo(f"erasures: {again} done again")
    for host in changed:
        progress(f"{host} runs another revision than at the time of the backup: its inventory was another")


def _show(place: Path, manifest: Manifest) -> None:
    from smtpctl.operate.backup.taking import KEYS

    for part in manifest.parts:
        click.echo(f"{place / part.name}  {part.bytes:,} bytes")
    rows = manifest.ledger["rows"]
    click.echo(f"ledger: {rows['ledger.messages']} messages, {rows['ledger.deliveries']} deliveries")
    click.echo(f"mailboxes: {manifest.mailboxes} messages")
    if (keys := place.parent / KEYS).exists():
        click.echo(f"keys: {keys}, the only copy: keep no older one")


def _hashes(erased: Sequence[Path], secrets: Secrets) -> list[str]:
    """What the receipts name. Raise SmtpctlError for one that is not of this fleet."""
    from smtpctl.ledger.receipts import is_genuine

    found = []
    for path in erased:
        receipt = json.loads(path.read_text())
        if not is_genuine(receipt, bytes.fromhex(secrets["ledger/receipts/public"])):
            raise SmtpctlError(f"{path} is not a genuine receipt of this fleet")
        found.append(receipt["statement"]["hash"])
    return found


def _erase_again(inventory: Path, hashes: Sequence[str]) -> int:
    from smtpctl.cli.ledger_access import fleet_ledger
    from smtpctl.operate.backup.restoring import erase_again

    with fleet_ledger(inventory) as ledger:
        if ledger.opener is None:
            raise SmtpctlError("this ledger keeps addresses in clear: nothing can be erased in it")
        return erase_again(ledger.connection, ledger.opener, ledger.lookup_keys, hashes, progress)


def _other_revisions(source: Source, manifest: Manifest) -> list[str]:
    from smtpctl.operate.backup.taking import revisions

    now = revisions(source)
    return [host for host, revision in manifest.revisions.items() if host in now and now[host] != revision]
