"""``smtpctl ledger sql``: psql on the ledger, as a reader."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from smtpctl.cli.ledger_access import database_options, ledger_place
from smtpctl.errors import SmtpctlError

#: libpq's parameters and the variables that say the same, so that nothing secret stands among psql's arguments.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="[-- PSQL-ARGUMENTS...]")
@database_options
def sql(arguments: tuple[str, ...], database: str | None, inventory: Path) -> None:
    """Open psql on the ledger as its reader, who sees no address and changes nothing. Arguments go to psql.

    \b
    Examples:
      smtpctl ledger sql
      smtpctl ledger sql -- -c 'SELECT status, count(*) FROM ledger.outgoing GROUP BY 1'
      smtpctl ledger sql -- --csv -f question.sql
    """
    with ledger_place(database, inventory, "reader") as place:
        environment = {**os.environ, **{_VARIABLES[name]: str(place[name]) for name in place if name in _VARIABLES}}
        environment["PGOPTIONS"] = "-c role=ledger_reader -c search_path=ledger"
        environment["PGAPPNAME"] = "smtpctl"
        try:
            code = subprocess.run(["psql", "--no-psqlrc", *arguments], env=environment, check=False).returncode
        except FileNotFoundError:
            raise SmtpctlError("psql is not installed", hint="apt-get install postgresql-client") from None
    raise click.exceptions.Exit(min(code, 1))
