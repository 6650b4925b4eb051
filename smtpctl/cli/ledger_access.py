"""The way to the ledger: the database that is named, or the control host of an inventory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from smtpctl.cli.loading import enter_network_of, load
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.ledger.reader import Reader


@contextmanager
def ledger_reader(database: str | None, inventory: Path) -> Iterator[Reader]:
    """A reader of the database that was asked for."""
    from smtpctl.ledger.connection import connect
    from smtpctl.ledger.reader import Reader

    if database:
        with connect(database, application="smtpctl") as connection:
            yield Reader(connection)
        return
    if not inventory.is_file():
        raise UsageError(
            f"no inventory {str(inventory)!r}", hint="name it with -i, or give the database itself with --database URL"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
        chosen = _control_database(inventory, authority)
        with connect(application="smtpctl", **chosen) as connection:
            yield Reader(connection)


def _control_database(inventory: Path, authority: IO[str]) -> dict[str, Any]:
    """How to reach the ledger of an inventory as its reader. The CA's certificate goes to ``authority``: libpq wants a
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
        "user": "operator",
        "password": secrets["database/operator/password"],
        "sslmode": "verify-full",
        "sslrootcert": authority.name,
    }
