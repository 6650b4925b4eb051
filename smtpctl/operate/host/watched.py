"""Files that only smtpctl writes, and SSH keys that let somebody in: what changed without it. Edge: reads files.

A file is read only when its inode, size or times are others than before. A difference counts when two looks in a row
found it and no apply was under way: an apply swaps its files before it records them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from smtpctl.transport.agent import facts
from smtpctl.transport.agent.store import Store, write_durably

Stamp = tuple[int, int, int, int]


class Noticed(NamedTuple):
    """One thing that changed: the incident's kind and severity, what it is about, and how."""

    kind: str
    severity: str
    subject: str
    text: str


class OwnedFiles:
    """The files of the host's revision."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stamps: dict[str, Stamp | None] = {}
        self._hashes: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._said: dict[str, str] = {}

    def look(self) -> Iterator[Noticed]:
        """What differs now, differed at the last look, and was not said yet."""
        record = self._store.current()
        if record is None or self._store.journal() is not None:
            self._before = {}
            return
        owned = record["files"].items()
        differing = {path: found for path, file in owned if (found := self._hash(path)) != file["sha256"]}
        steady = {path: found for path, found in differing.items() if self._before.get(path) == found}
        self._before = differing
        self._said = {path: found for path, found in self._said.items() if path in differing}
        for path, found in sorted(steady.items()):
            if self._said.get(path) != found:
                self._said[path] = found
                yield Noticed("changed-by-hand", "warning", path, "was removed" if not found else "was edited")

    def _hash(self, path: str) -> str:
        """Hash of a file; empty where there is none."""
        stamp = _stamp(path)
        if path not in self._stamps or self._stamps[path] != stamp:
            self._stamps[path] = stamp
            self._hashes[path] = facts.file_fact(path).get("sha256", "")
        return self._hashes[path]


class SshKeys:
    """The keys that may sign in. What was there at the first look of a host's life is taken as known."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory

    def look(self) -> Iterator[Noticed]:
        """Keys that are new since the last look."""
        known, current = self._known(), dict(_authorized())
        if known is None or set(current) != set(known):
            write_durably(self._memory, json.dumps({"keys": sorted(current)}).encode())
        for name in sorted(set(current) - set(current if known is None else known)):
            user, fingerprint = name.split(" ", 1)
            yield Noticed("ssh-key", "critical", user, f"{fingerprint} {current[name]}".strip())

    def _known(self) -> list[str] | None:
        try:
            keys: list[str] = json.loads(self._memory.read_bytes())["keys"]
        except FileNotFoundError:
            return None
        return keys


def _authorized() -> Iterator[tuple[str, str]]:
    """(``USER FINGERPRINT``, comment) of every key in an authorized_keys file (sshd(8))."""
    for user in pwd.getpwall():
        for name in ("authorized_keys", "authorized_keys2"):
            try:
                text = Path(user.pw_dir, ".ssh", name).read_text(errors="replace")
            except (FileNotFoundError, NotADirectoryError):
                continue
            for line in text.splitlines():
                key = _key(line)
                if key:
                    yield f"{user.pw_name} {key[0]}", key[1]


def _key(line: str) -> tuple[str, str] | None:
    """Fingerprint and comment of a line; options may stand before the key's type."""
    words = [] if line.lstrip().startswith("#") else line.split()
    for position, word in enumerate(words[:-1]):
        if word.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                blob = base64.b64decode(words[position + 1], validate=True)
            except ValueError:
                return None
            digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
            return f"SHA256:{digest}", " ".join(words[position + 2 :])
    return None


def _stamp(path: str) -> Stamp | None:
    try:
        status: Any = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
