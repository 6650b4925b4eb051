"""What this host says of itself when somebody asks whether mail is flowing. Read-only, quick whatever the queues hold.

The queues are counted by their directory entries: a long queue id begins with the second in which the message came
(postconf(5), enable_long_queue_ids), so the oldest message is found without opening one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import emptying, facts, pauses, processes, spool
from .store import Store

QUEUES = ("incoming", "active", "deferred", "hold")

#: Digits of a long queue id: no vowels, so that no id is a word; the seconds are its first six.
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
SECONDS = 6

#: Certificates of ours, by what they are for.
CERTIFICATES = "/etc/postfix-*/tls.pem"


def state(virtual_address: str) -> dict[str, Any]:
    """Everything that `smtpctl status` shows of a host."""
    disk = os.statvfs("/var/spool")
    folder, now = pauses.PauseFolder(), time.time()
    return {
        "queues": {instance: dict(_queues(instance)) for instance in spool.instances()},
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


def arrival(queue_id: str) -> float | None:
    """When a message came, from its long queue id; None for a short one."""
    if len(queue_id) < 11 or "z" not in queue_id:
        return None
    seconds = 0
    for letter in queue_id[:SECONDS]:
        value = DIGITS.find(letter)
        if value < 0:
            return None
        seconds = seconds * len(DIGITS) + value
    return float(seconds)


def _queues(instance: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    root = Path(f"/var/spool/postfix-{instance}")
    for queue in QUEUES:
        count, oldest = 0, None
        for name in names(root / queue):
            count += 1
            came = arrival(name)
            if came is not None and (oldest is None or came < oldest):
                oldest = came
        yield queue, {"messages": count, "oldest": oldest}


def names(folder: Path) -> Iterator[str]:
    """Names of the files of a queue, hashed into folders or not."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:  # an instance that has never run
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from names(Path(entry.path))
            else:
                yield entry.name


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
