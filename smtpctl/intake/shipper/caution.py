"""What to do when the ledger refuses what a batch says: read less at a time, down to the one line that is to blame.

No line may stop the shipper. The bounds of the parser keep such values out as far as anybody knows; this is for what
nobody knew. Only errors about values count: a database that is away, full or forbids is no reason to leave a line out.
"""

from __future__ import annotations

import struct

from psycopg import errors

from smtpctl.errors import LedgerError

#: What is raised when a value cannot be stored.
REFUSALS = (
    errors.DataError,
    errors.CheckViolation,
    errors.ProgramLimitExceeded,
    struct.error,
    ValueError,
    OverflowError,
)
_STEP = 16
_SMALLEST = 64 * 1024


class RefusedError(LedgerError):
    """The ledger does not take in what a batch says."""


class Caution:
    """How much is read at once: a batch, smaller batches after a refusal, single lines, and then the line that was
    refused alone, to be left out."""

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes
        self._lines = 0
        self.limit = batch_bytes
        self.one_line = False
        self.refused = False

    def __str__(self) -> str:
        if self.refused:
            return "past that line"
        return "one line at a time" if self.one_line else f"{self.limit} bytes at a time"

    @property
    def is_easy(self) -> bool:
        """Whether nothing was refused lately."""
        return self.limit == self._batch_bytes and not self.one_line

    def more(self) -> None:
        """Something was refused."""
        if self.one_line:
            self.refused = True
        elif self.limit <= _SMALLEST:
            self.one_line, self._lines = True, 0
        else:
            self.limit = max(_SMALLEST, self.limit // _STEP)

    def less(self) -> None:
        """Something was stored: after enough single lines to be past the batch, batches grow again."""
        if self.one_line:
            self._lines += 1
            if self.refused or self._lines > 1000:
                self.one_line = self.refused = False
        else:
            self.limit = min(self.limit * _STEP, self._batch_bytes)
