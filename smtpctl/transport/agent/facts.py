"""Facts about this host: what stands at a path, which packages are installed, how units are. Read-only."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import socket
import stat
import time
from functools import cache
from itertools import pairwise

from . import StepError, systemd

TYPE_CHECKING = False  # what is imported here is imported by every plan: see session.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

#: Larger files are compared but not sent for a diff.
LARGEST_DIFF = 1 << 20

#: What ``pauses`` keeps.
PAUSES = "/var/lib/smtpctl-operate/pauses.json"

#: Addresses of interfaces; and the routes, of which a host has one to itself for each of its addresses.
IPV6_ADDRESSES = "/proc/net/if_inet6"
IPV4_ROUTES = "/proc/net/fib_trie"

ABSENT: dict[str, Any] = {"kind": "absent"}


def file_fact(path: str) -> dict[str, Any]:
    """What stands at ``path``: kind, and for a regular file its hash, mode and owner."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return dict(ABSENT)
    if stat.S_ISLNK(status.st_mode):
        return {"kind": "link", "target": os.readlink(path)}
    fact = {
        "kind": "other",
        "mode": stat.S_IMODE(status.st_mode),
        "owner": _user_name(status.st_uid),
        "group": _group_name(status.st_gid),
    }
    if stat.S_ISDIR(status.st_mode):
        fact["kind"] = "directory"
    elif stat.S_ISREG(status.st_mode):
        fact.update(kind="file", sha256=_digest(path, status.st_size))
    return fact


def _digest(path: str, size: int) -> str:
    """The hash of a file; read at once where it is one of ordinary size, since `file_digest` makes room for more."""
    with open(path, "rb", buffering=0) as file:
        if size > LARGEST_DIFF:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(file.readall()).hexdigest()


def written_at(path: str) -> float:
    """When the file at ``path`` came to stand there: renames set ctime, and no one can set it back. 0 for none."""
    try:
        return os.lstat(path).st_ctime
    except (FileNotFoundError, NotADirectoryError):
        return 0.0


def content_for_diff(path: str, fact: dict[str, Any]) -> bytes | None:
    """Bytes of a regular file of ordinary size, or of a symbolic link's target."""
    if fact["kind"] == "link":
        return f"symbolic link to {fact['target']}\n".encode()
    if fact["kind"] != "file":
        return None
    if os.stat(path).st_size > LARGEST_DIFF:
        return None
    with open(path, "rb") as file:
        return file.read()


def installed_packages(names: Iterable[str], status: str = "/var/lib/dpkg/status") -> dict[str, str]:
    """Versions of those of ``names`` that are wholly installed. dpkg's own file is read: dpkg-query takes 10 ms."""
    wanted = {name.encode() for name in names}
    found: dict[str, str] = {}
    if not wanted:
        return found
    with open(status, "rb") as file:
        content = file.read()
    for stanza in content.split(b"\n\n"):
        name = stanza[9 : stanza.find(b"\n")] if stanza.startswith(b"Package: ") else b""
        if name in wanted and b"\nStatus: install ok installed\n" in stanza:
            version = stanza.partition(b"\nVersion: ")[2].partition(b"\n")[0]
            found[name.decode()] = version.decode()
    return found


def holds_address(address: str) -> bool:
    """Whether an interface of this host has ``address`` now, by the kernel's own tables (proc_net(5)): to start ip(8)
    takes as long as all else that a plan does here."""
    if ":" in address:
        return any(line.startswith(socket.inet_pton(socket.AF_INET6, address).hex()) for line in _lines(IPV6_ADDRESSES))
    lines = pairwise(_lines(IPV4_ROUTES))
    return any(leaf.split() == ["|--", address] and route.split() == ["/32", "host", "LOCAL"] for leaf, route in lines)


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except FileNotFoundError:  # of a kernel without IPv6
        return []


def unit_facts(units: Iterable[str]) -> dict[str, dict[str, Any]]:
    """State of each unit, in one exchange with systemd; from systemctl where that does not work out."""
    names = list(dict.fromkeys(units))
    if not names:
        return {}
    try:
        found = systemd.properties(names)
    except systemd.UnavailableError:
        found = shown_units(names)
    return {name: _unit_fact(properties) for name, properties in zip(names, found, strict=True)}


def shown_units(names: Sequence[str]) -> list[dict[str, Any]]:
    """The properties that ``systemd.properties`` has, of active units all, from one call of systemctl."""
    from . import processes

    wanted = ",".join((*systemd.LISTED, *systemd.ALWAYS, *systemd.IDLE))
    command = ["systemctl", "show", "--timestamp=us+utc", "--property", wanted, "--", *names]
    result = processes.run(command, timeout=30)
    if result.code:
        raise StepError("observe", f"systemctl show: {result.output}")
    blocks = result.output.rstrip("\n").split("\n\n")
    if len(blocks) != len(names):
        raise StepError("observe", f"systemctl show answered {len(blocks)} units for {len(names)}: {result.output}")
    return [dict(_shown(line) for line in block.splitlines()) for block in blocks]


def _shown(line: str) -> tuple[str, systemd.Value]:
    """A property as ``systemctl show`` prints it."""
    name, _, value = line.partition("=")
    if name in ("ConditionResult", "RemainAfterExit"):
        return name, value == "yes"
    if name == "InvocationID":
        return name, bytes.fromhex(value)
    if name == "StateChangeTimestamp":
        return name, _microseconds(value)
    return name, int(value or 0) if name == "ConditionTimestampMonotonic" else value


def _microseconds(timestamp: str) -> int:
    """Since the epoch, of systemd's ``Sat 2026-11-22 01:02:03.456789 UTC``; 0 for none."""
    from datetime import UTC, datetime, timedelta

    if not timestamp:
        return 0
    _, day, moment, _ = timestamp.split(" ")
    return (datetime.fromisoformat(f"{day} {moment}+00:00") - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def _unit_fact(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan needs to know of a unit. A timer, say, has no Type; why a unit is not active is known where it is."""
    active = properties["ActiveState"]
    # A unit that was started but does not apply to this machine (chrony in a container) is as it should be.
    if active == "inactive" and not properties["ConditionResult"] and properties["ConditionTimestampMonotonic"]:
        active = "skipped"
    return {
        "load": properties["LoadState"],
        "active": active,
        "sub": properties["SubState"],
        "enabled": properties["UnitFileState"],
        "kind": properties.get("Type", ""),
        "remains": properties.get("RemainAfterExit", False),
        "invocation": properties["InvocationID"].hex(),
        "changed": properties["StateChangeTimestamp"] / 1e6,
    }


@cache
def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@cache
def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def user_id(name: str) -> int:
    """Number of a user; StepError where there is none. Not cached: users are made during a run."""
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise StepError("files", f"there is no user {name!r} on this host") from None


def group_id(name: str) -> int:
    """Number of a group; StepError where there is none."""
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StepError("files", f"there is no group {name!r} on this host") from None


def paused() -> list[dict[str, Any]]:
    """What somebody has paused by hand, and is in force: whoever plans a change should know. Not who is locked out."""
    if not os.path.exists(PAUSES):
        return []
    from . import pauses

    folder, now = pauses.PauseFolder(), time.time()
    return [record for record in folder.read() if pauses.in_force(record, now) and not pauses.is_lockout(record)]
