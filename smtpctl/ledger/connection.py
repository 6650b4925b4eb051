"""Connections to the ledger's database, and its SQL by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from smtpctl.errors import LedgerError

#: Seconds. A lost server must be noticed, or rows wait for a dead connection.
_CONNECT_TIMEOUT = 5
_KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_PASSED_ON = ("host", "hostaddr", "port", "dbname", "user", "password", "sslmode")

Connection = psycopg.Connection[tuple[Any, ...]]


@cache
def statement(name: str) -> sql.SQL:
    """The SQL in ``sql/NAME.sql``."""
    source = pkgutil.get_data(__package__, f"sql/{name}.sql")
    if source is None:
        raise LedgerError(f"sql/{name}.sql is not part of this installation")
    # Files of the package are as constant as string literals.
    return sql.SQL(source.decode())


def parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """libpq's parameters from the ``database`` of a configuration file: its own names (host, hostaddr, port, dbname,
    user, password, sslmode), and ``password_file`` and ``ca_file``. With a CA the server must prove its name."""
    chosen: dict[str, Any] = {name: config[name] for name in _PASSED_ON if config.get(name)}
    if config.get("password_file"):
        chosen["password"] = Path(config["password_file"]).read_text().strip()
    if config.get("ca_file"):
        chosen |= {"sslmode": "verify-full", "sslrootcert": config["ca_file"]}
    return chosen


def connect(conninfo: str = "", *, application: str, **chosen: Any) -> Connection:
    """A connection in autocommit mode: transactions are where ``transaction()`` stands. Raise LedgerError."""
    try:
        return psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            application_name=application,
            client_encoding="UTF8",
            **_KEEPALIVES,
            **chosen,
        )
    except psycopg.OperationalError as error:
        raise LedgerError(f"the ledger database cannot be reached: {str(error).strip()}") from error
