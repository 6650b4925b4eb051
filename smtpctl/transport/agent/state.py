"""What this host says of itself when somebody asks whether mail is flowing. Read-only; quick, whatever queues hold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import emptying, facts, pauses, processes, queue_files, spool
from .store import Store

#: Certificates of ours, by what they are for.
CERTIFICATES = "/etc/postfix-*/tls.pem"


def state(virtual_address: str) -> dict[str, Any]:
    """Everything that `smtpctl status` shows of a host."""
    disk = os.statvfs("/var/spool")
    folder, now = pauses.PauseFolder(), time.time()
    return {
        "queues": {instance: queue_files.sizes(instance) for instance in spool.instances()},
        "disk_free": disk.f_bavail / disk.f_blocks,
        "inodes_free": disk.f_favail / disk.f_files if disk.f_files else 1.0,
        "certificates": dict(_certificates()),
        "failed_units": failed_units(),
        "holds_virtual_address": bool(virtual_address) and _holds(virtual_address),
        "paused": [record for record in folder.read() if pauses.in_force(record, now)],
        "handed_over": emptying.handed_over(),
        "changed": changed(Store()),
        "now": now,
    }


def changed(store: Store) -> list[str]:
    """Files of this host's revision that are not as smtpctl left them; none while an apply is under way."""
    record = store.current()
    if record is None or store.journal() is not None:
        return []
    return [path for path, file in record["files"].items() if facts.file_fact(path).get("sha256") != file["sha256"]]


def _certificates() -> Iterator[tuple[str, str]]:
    for path in sorted(Path("/").glob(CERTIFICATES.removeprefix("/"))):
        answer = processes.run(
            ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", str(path)], timeout=10
        )
        yield str(path), answer.output.strip().removeprefix("notAfter=")


def failed_units() -> list[str]:
    answer = processes.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"], timeout=10)
    return [line.split()[0] for line in answer.output.splitlines() if line.strip()]


def _holds(address: str) -> bool:
    answer = processes.run(["ip", "-oneline", "address", "show", "to", f"{address}"], timeout=10)
    return bool(answer.output.strip())
