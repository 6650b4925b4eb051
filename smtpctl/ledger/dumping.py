"""The control host's side of a backup: the database as one stream, and a database out of one. Edge.

A dump begins with a line of JSON, what it holds by the very same snapshot, and goes on in pg_dump's custom format. A
restore builds a database beside the one in use and takes its place when it is whole; until then nobody but a superuser
may connect to it. Keys are in no dump (smtpctl/ledger/keystore.py).
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import IO, Any

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from smtpctl.errors import LedgerError
from smtpctl.ledger.connection import Connection, connect
from smtpctl.ledger.migrations import names

_TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname IN ('ledger', 'quota') ORDER BY 1
"""
_RETIRE = "UPDATE ledger.seal_keys SET retired_at = now() WHERE retired_at IS NULL AND encode(public, 'hex') = ANY (%s)"


def dump(conninfo: str, out: IO[bytes]) -> None:
    """Write what the database holds. Raise LedgerError."""
    with connect(conninfo, application="smtpctl-backup") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        out.write(json.dumps(contents(connection)).encode() + b"\n")
        out.flush()
        command = ["pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--dbname={conninfo}"]
        _carry_out(command, stdout=out)


def restore(conninfo: str, dumped: IO[bytes]) -> dict[str, Any]:
    """Put a dump in place of the database; return what it holds. Raise LedgerError, and nothing has changed."""
    told = json.loads(_first_line(dumped.fileno()))
    missing = sorted(set(told["migrations"]) - set(names()))
    if missing:
        raise LedgerError(f"the dump is of a newer release: this one does not know {', '.join(missing)}")
    name = str(conninfo_to_dict(conninfo)["dbname"])
    fresh = f"{name}_restored"
    with connect(make_conninfo(conninfo, dbname="postgres"), application="smtpctl-backup") as connection:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(fresh)))
        # a superuser is let in all the same
        connection.execute(sql.SQL("CREATE DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(fresh)))
        target = make_conninfo(conninfo, dbname=fresh)
        _carry_out(["pg_restore", "--exit-on-error", f"--dbname={target}"], stdin=dumped)
        with connect(target, application="smtpctl-backup") as restored:
            found = contents(restored)
        if found["rows"] != told["rows"]:
            differing = sorted(table for table in told["rows"] if told["rows"][table] != found["rows"].get(table))
            raise LedgerError(f"the restored database has other rows than the dump said: {', '.join(differing)}")
        connection.execute(drop.format(sql.Identifier(name)))
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(fresh), sql.Identifier(name)))
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(sql.Identifier(name)))
    return found


def contents(connection: Connection) -> dict[str, Any]:
    """Rows by table, what it was changed by, the server's version, and the keys that addresses are sealed under."""
    tables = [row[0] for row in connection.execute(_TABLES).fetchall()]
    counts = {}
    for table in tables:
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(table))
        counts[table] = (connection.execute(count).fetchone() or (0,))[0]
    return {
        "rows": counts,
        "migrations": [row[0] for row in connection.execute("SELECT name FROM ledger.migrations ORDER BY 1")],
        "postgresql": connection.info.server_version,
        "keys": [row[0].hex() for row in connection.execute("SELECT public FROM ledger.seal_keys ORDER BY id")],
    }


def retire(connection: Connection, lost: list[str]) -> None:
    """Seal nothing more under keys whose private halves are gone; new ones are made in their place."""
    connection.execute(_RETIRE, (lost,))


def _first_line(descriptor: int) -> bytes:
    """A line, and not a byte of what pg_restore reads after it."""
    line = b""
    while not line.endswith(b"\n"):
        sign = os.read(descriptor, 1)
        if not sign or len(line) > 1 << 20:
            raise LedgerError("this is no dump of a ledger")
        line += sign
    return line


def _carry_out(command: list[str], *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> None:
    done = subprocess.run(command, stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, cwd="/")
    if done.returncode:
        raise LedgerError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-500:]}")
