"""What servers said of themselves in the host's journal: lines of Postfix and of the fleet's units that give up.

A daemon that dies of a wrong parameter is started again by its master for ever, and the host looks alive (master(8)).
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from typing import Any

from . import processes

#: Words for giving up: Postfix's (msg(3)), Dovecot's, and HAProxy's of a reload after which its old process stays.
#: PostgreSQL's FATAL is said to a client, and ends a session only.
MARKS = "fatal: |panic: |Fatal: |Panic: |cannot bind socket"

#: As many as help; the same one comes once a connection.
MOST = 5

#: Postfix's master does not start a service again for so long after one that died of its first work, not even when it
#: reads its configuration again (service_throttle_time, master(8)); clients wait meanwhile.
THROTTLE_SECONDS = 60.0


def since(moment: float, units: Collection[str]) -> list[str]:
    """Lines since ``moment`` (seconds since the epoch), each once, with the program's name before it."""
    found = []
    for entry in entries(moment, MARKS):
        name = str(entry.get("SYSLOG_IDENTIFIER", ""))
        if name.startswith("postfix") or entry.get("_SYSTEMD_UNIT") in units:
            found.append(f"{name}: {_text(entry.get('MESSAGE'))}")
    return list(dict.fromkeys(found))[:MOST]


def throttled() -> set[str]:
    """Units of Postfix in which a service waits because it died."""
    found = entries(time.time() - THROTTLE_SECONDS, "bad command startup -- throttling")
    return {str(entry.get("_SYSTEMD_UNIT")) for entry in found}


def entries(moment: float, pattern: str) -> list[dict[str, Any]]:
    """Lines of the journal since ``moment`` that ``pattern`` is found in, with journald's fields."""
    command = ["journalctl", f"--since=@{moment:.6f}", f"--grep={pattern}", "--case-sensitive=yes", "--output=json"]
    result = processes.run([*command, "--quiet", "--no-pager"], timeout=20)
    return [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]


def _text(message: Any) -> str:
    """A message; journald gives one that is not UTF-8 as a list of bytes."""
    return bytes(message).decode(errors="replace") if isinstance(message, list) else str(message)
