"""Keeps the sums of closed hours, which the analysts' views answer from (``sum_up`` in ``schema.sql``)."""

from __future__ import annotations

from smtpctl.ledger.connection import Connection

#: An hour is closed some minutes after its end: the log of the host that knows the credential may come last.
_CLOSED = "date_trunc('hour', now() - interval '10 minutes', 'UTC')"
_SUM_UP = f"SELECT ledger.sum_up({_CLOSED}, %s)"


def sum_up(connection: Connection, most: int = 1_000_000) -> None:
    """Add what is not in the sums yet, ``most`` numbers of a source in a transaction. No row is ever added twice."""
    while connection.execute(_SUM_UP.encode(), (most,)).fetchone() == (True,):
        pass
