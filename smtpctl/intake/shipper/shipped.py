"""Says on disk until when everything in the log is in the ledger, so that rotation keeps what is not. (Edge: a file.)

logrotate removes its oldest file when it rotates. The time of ``$STATE_DIRECTORY/shipped`` (systemd.exec(5)) is that of
the last line in the ledger, or now when nothing is left to read: a file of history that was written to later holds
lines that are nowhere else.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from smtpctl.model.deliveries import datetime_of


class Shipped:
    """The file, if there is a place for it."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "shipped" if directory else None

    @classmethod
    def from_environment(cls) -> Shipped:
        """In the state directory that systemd gives; none for a shipper that is started by hand."""
        return cls(os.environ.get("STATE_DIRECTORY", ""))

    def until(self, moment: int) -> None:
        """All lines up to that moment are in the ledger."""
        self._mark(datetime_of(moment).timestamp())

    def everything(self) -> None:
        """Nothing is left to read now."""
        self._mark(time.time())

    def _mark(self, seconds: float) -> None:
        if self._path is not None:
            self._path.touch(exist_ok=True)
            os.utime(self._path, (seconds, seconds))
