"""Brings a database to the schema of this version: a new one from ``schema.sql``, an existing one by migrations.

A migration is a file ``sql/migrations/NUMBER_WORDS_PHASE.sql``. Phase ``pre`` runs before hosts get the code that
needs it, so the code of the version before must still work with it; ``post`` runs after all hosts have the new code,
and takes away what only the old one used. Each runs once, in order, in a transaction with the note that it ran.
Functions, views and rights are no migrations: ``schema.sql`` says them below its line ``Routines``, and they are
replaced as a whole.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Literal

import psycopg
from psycopg import sql

from smtpctl.errors import LedgerError
from smtpctl.ledger.connection import Connection, statement

Phase = Literal["pre", "post"]
_NAME = re.compile(r"\d{4}_[a-z_]+_(pre|post)\.sql")
_ROUTINES = "-- Routines:"
_RECORD = "INSERT INTO ledger.migrations (name) VALUES (%s) ON CONFLICT DO NOTHING"
_NOTES = """
CREATE TABLE IF NOT EXISTS ledger.migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE ledger.migrations OWNER TO ledger_owner;
COMMENT ON TABLE ledger.migrations IS 'Which changes of tables this database has.';
"""
#: One at a time: two controllers, or a timer beside an apply.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('ledger.migrations'))"


def migrate(connection: Connection, phase: Phase = "pre") -> list[str]:
    """Bring the database up; return the names of what ran. Needs a superuser. Raise LedgerError.

    A database that a newer version has changed stays as it is: the older one, rolled back to, works with it.
    """
    with connection.transaction():
        connection.execute(_LOCK)
        try:
            if connection.execute("SELECT to_regnamespace('ledger') IS NULL").fetchone() == (True,):
                connection.execute(statement("schema"))
                return ["schema.sql"]
            return _change(connection, phase)
        except psycopg.Error as error:
            raise LedgerError(f"the ledger's schema cannot be changed: {error}") from error
        finally:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                connection.execute("RESET ROLE; RESET search_path; RESET client_min_messages")


def names() -> list[str]:
    """Names of all migrations, in order."""
    folder = resources.files("smtpctl.ledger") / "sql" / "migrations"
    return sorted(entry.name for entry in folder.iterdir() if _NAME.fullmatch(entry.name))


def _change(connection: Connection, phase: Phase) -> list[str]:
    connection.execute(_NOTES)
    applied = {row[0] for row in connection.execute("SELECT name FROM ledger.migrations").fetchall()}
    if applied.difference(names()):
        return []
    pending = [name for name in names() if name not in applied]
    due = [name for name in pending if phase == "post" or name.endswith("_pre.sql")]
    for name in due:
        connection.execute(statement(f"migrations/{name.removesuffix('.sql')}"))
        connection.execute("RESET ROLE; RESET search_path")
        connection.execute(_RECORD, (name,))
    text = statement("schema").as_string(None)
    connection.execute(sql.SQL(text[text.index(_ROUTINES) :]))
    return due
