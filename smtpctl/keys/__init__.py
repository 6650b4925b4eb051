"""The fleet's secrets: DKIM keys, certificates, passwords, in one age file beside the inventory.

Values exist in memory and in that file only. Rendering reads them (`read_secrets`) and never makes one; making is a
command of its own (`init_secrets`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from smtpctl.keys.store import read_secrets
from smtpctl.model.fleet import Fleet

__all__ = ["init_secrets", "read_secrets"]


def init_secrets(inventory: Path, fleet: Fleet, *, now: datetime | None = None) -> list[str]:
    """Make every missing secret of ``fleet`` and renew its certificates; see `smtpctl.keys.initialise`."""
    # Reading is on the way of every plan; the X.509 machinery is needed here only.
    from smtpctl.keys import initialise

    return initialise.init_secrets(inventory, fleet, now=now)
