"""The way to the ledger: the database that is named, the control host of an inventory, or the user's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from smtpctl.cli.loading import enter_network_of, load
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.cli.fleet import Selection
    from smtpctl.ledger.connection import Connection
    from smtpctl.ledger.keystore import Opener
    from smtpctl.ledger.reader import Reader
    from smtpctl.ledger.tokens import LookupKey


Command = TypeVar("Command", bound=Callable[..., Any])
#: The name of the user's own ledger, where a database is asked for.
OWN = "own"


def database_options(command: Command) -> Command:
    """Where the ledger is."""
    for option in (
        click.option(
            "--database",
            metavar="URL",
            envvar="SMTPCTL_LEDGER",
            help="The database itself, as libpq takes it; `own` for the one that `ledger import` makes here.",
        ),
        click.option(
            "-i",
            "--inventory",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="SMTPCTL_INVENTORY",
            default="inventory.yml",
            show_default=True,
            help="Inventory whose control host has the ledger. Where there is none, the own one is asked.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def ledger_reader(database: str | None, inventory: Path) -> Iterator[Reader]:
    """A reader of the database that was asked for."""
    from smtpctl.ledger.connection import connect
    from smtpctl.ledger.reader import Reader

    if database is None and inventory.is_file():
        with fleet_ledger(inventory) as ledger:
            yield ledger.reader
        return
    with ledger_place(database, inventory, "operator") as place, connect(application="smtpctl", **place) as connection:
        yield Reader(connection)


@dataclass(frozen=True)
class FleetLedger:
    """The ledger of a fleet, as its operator; with what opens addresses where it is private."""

    selection: Selection
    connection: Connection
    reader: Reader
    lookup_keys: tuple[LookupKey, ...] = ()
    opener: Opener | None = None


@contextmanager
def fleet_ledger(inventory: Path) -> Iterator[FleetLedger]:
    """The ledger of an inventory."""
    from smtpctl.cli.fleet import select
    from smtpctl.ledger.connection import connect
    from smtpctl.ledger.keystore import Opener
    from smtpctl.ledger.reader import Names, Reader
    from smtpctl.ledger.subjects import read_lookup_keys
    from smtpctl.model.fleet import Role
    from smtpctl.operate.keystore import HostKeyStore

    with ledger_place(None, inventory, "operator") as place, connect(application="smtpctl", **place) as connection:
        selection = select(inventory)
        fleet, secrets = selection.fleet, selection.secrets
        if fleet.privacy == "off":
            yield FleetLedger(selection, connection, Reader(connection))
            return
        store = HostKeyStore(selection.targets[next(iter(fleet.hosts_with(Role.CONTROL)))])
        try:
            keys = read_lookup_keys(secrets["ledger/lookup/keys"])
            opener = Opener(store, bytes.fromhex(secrets["ledger/reading/private"]))
            domains = [domain.encode() for provider in fleet.providers.values() for domain in provider.domains]
            yield FleetLedger(selection, connection, Reader(connection, Names(keys, opener, domains)), keys, opener)
        finally:
            store.close()


@contextmanager
def ledger_place(database: str | None, inventory: Path, role: str) -> Iterator[dict[str, Any]]:
    """libpq's parameters for the database that was asked for, there as ``role`` where it is a fleet's."""
    from psycopg.conninfo import conninfo_to_dict

    if database not in (None, OWN):
        yield dict(conninfo_to_dict(database or ""))
    elif database != OWN and inventory.is_file():
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
            yield _control_database(inventory, authority, role)
    else:
        yield dict(conninfo_to_dict(_own(inventory)))


def _own(inventory: Path) -> str:
    from smtpctl.ledger.server import OwnServer, state_folder

    server = OwnServer(state_folder())
    if not server.exists:
        raise UsageError(
            f"no inventory {str(inventory)!r}, and no ledger of your own yet",
            hint="name an inventory with -i, or a database with --database, or run: smtpctl ledger import FILE...",
        )
    return server.ready()


def _control_database(inventory: Path, authority: IO[str], role: str) -> dict[str, Any]:
    """How to reach the ledger of an inventory. The CA's certificate goes to ``authority``: libpq wants a
    file."""
    from smtpctl.model.fleet import Role

    fleet, secrets = load(inventory)
    control = next(iter(fleet.hosts_with(Role.CONTROL)), None)
    if control is None:
        raise UsageError(f"{inventory}: no host has the role control, so there is no ledger")
    authority.write(secrets["tls/ca/certificate"])
    authority.flush()
    enter_network_of(fleet)
    return {
        "host": fleet.host_name(control),
        "hostaddr": fleet.hosts[control].address,
        "dbname": "smtpctl",
        "user": role,
        "password": secrets[f"database/{role}/password"],
        "sslmode": "verify-full",
        "sslrootcert": authority.name,
    }
