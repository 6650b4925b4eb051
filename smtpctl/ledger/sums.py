"""Keeps the sums of closed hours, which the analysts' views answer from (``sum_up`` in ``schema.sql``)."""

from __future__ import annotations

from smtpctl.ledger.connection import Connection

#: An hour is closed some minutes after its end: the log of the host that knows the credential may come last.
_CLOSED = "date_trunc('hour', now() - interval '10 minutes', 'UTC')"
_SUM_UP = f"SELECT ledger.sum_up({_CLOSED})"


def sum_up(connection: Connection) -> None:
    """Add what is not in the sums yet, in transactions of bounded size. The same row is never added twice."""
    while connection.execute(_SUM_UP.encode()).fetchone() == (True,):
        pass
