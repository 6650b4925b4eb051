"""Log lines on stderr: one event a line, ``name=value`` pairs that grep reads. Edge.

A recipient's address is never in one.
"""

from __future__ import annotations

import os
import sys

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
_WORDS = {ERROR: "error", WARNING: "warning", NOTICE: "notice", INFO: "info"}
_UNDER_JOURNAL = "JOURNAL_STREAM" in os.environ


def log(priority: int, event: str, **values: object) -> None:
    """Write one line. systemd takes ``<N>`` at its head as the priority (sd-daemon(3))."""
    head = f"<{priority}>" if _UNDER_JOURNAL else f"{_WORDS[priority]}: "
    pairs = "".join(f" {name}={_quoted(str(value))}" for name, value in values.items())
    sys.stderr.write(f"{head}{event}{pairs}\n")
    sys.stderr.flush()


def _quoted(value: str) -> str:
    """The value as one printable word, in quotes where it has spaces."""
    kept = value[:500]
    clean = "".join(one if one.isprintable() and one not in '"\\' else "?" for one in kept)
    return clean if clean and " " not in clean else f'"{clean}"'
