"""The shipper: follows the mail log of a host into the ledger, and counts each line once.

    python3 shipper.pyz --config /etc/smtpctl/shipper.json

The log is the spool: while the database is away nothing is read, and nothing is lost as long as the log is kept. Rows
and position go in one transaction, after the log itself is on disk. SIGTERM ends after the running transaction.
"""

from __future__ import annotations

from smtpctl.intake.shipper.program import main

__all__ = ["main"]
