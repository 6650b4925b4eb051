"""The pauses of this host: a file, and how two states of it become one. Edge: reads and writes that file.

A record is never changed but for its end. So the states of two hosts merge in one way only, whichever order they meet
in: all records of both, and ended where either says ended. The file is open to all: it holds no secret and names no
recipient, and the daemons that read it have users of their own.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import facts, spool
from .store import sync_folder

FOLDER = Path(facts.PAUSES).parent

#: How long an ended record is remembered: a host that was off for longer is set up anew.
REMEMBERED = 90 * 86400

#: How long after its end a lock-out is remembered.
FORGOTTEN = 86400

Record = dict[str, Any]


def merge(one: Iterable[Record], other: Iterable[Record]) -> list[Record]:
    """All records of both, ended where either says so; in the order of their beginning."""
    found: dict[str, Record] = {}
    for record in (*one, *other):
        known = found.get(record["id"])
        if known is None:
            found[record["id"]] = record
        elif record.get("ended") is not None and (known.get("ended") is None or record["ended"] < known["ended"]):
            found[record["id"]] = {**known, "ended": record["ended"], "ended_by": record.get("ended_by", "")}
    return sorted(found.values(), key=lambda record: (record["since"], record["id"]))


def is_lockout(record: Record) -> bool:
    """Whether it turns an address away, and stops no mail of ours."""
    return "clients" in record.get("scope", {})


def _is_remembered(record: Record, now: float) -> bool:
    """Those who are locked out are many, and end soon by themselves: nobody has to be told of them for long."""
    ends = [end for end in (record.get("ended"), record.get("until")) if end is not None]
    if is_lockout(record) and record.get("until") is not None:
        return bool(now - max(ends) < FORGOTTEN)
    return bool(now - (record.get("ended") or now) < REMEMBERED)


def in_force(record: Record, now: float) -> bool:
    """Whether a record stops mail at a moment."""
    until = record.get("until")
    return record.get("ended") is None and record["since"] <= now and (until is None or now < until)


class PauseFolder:
    """What a host keeps: ``pauses.json``, and in ``entered.json`` the ids that its queues have been brought to."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.file = folder / "pauses.json"
        self._entered = folder / "entered.json"

    def read(self) -> list[Record]:
        """The records of the file; none where there is no file yet."""
        try:
            records: list[Record] = json.loads(self.file.read_bytes())["pauses"]
        except FileNotFoundError:
            return []
        return records

    def add(self, records: Iterable[Record], now: float) -> list[Record]:
        """Merge ``records`` into the file, durably; all that is known then."""
        with self._locked():
            known = self.read()
            merged = [record for record in merge(known, records) if _is_remembered(record, now)]
            if merged != known:
                self._write(self.file, {"version": 1, "pauses": merged})
            return merged

    def entered(self) -> set[str]:
        """Ids of the pauses that the queues of this host have been brought to."""
        try:
            return set(json.loads(self._entered.read_bytes())["entered"])
        except FileNotFoundError:
            return set()

    def set_entered(self, entered: set[str]) -> None:
        """Remember to which pauses the queues have been brought."""
        self._write(self._entered, {"version": 1, "entered": sorted(entered)})

    def note_held(self, identity: str, instance: str, ids: Iterable[str]) -> None:
        """Remember which messages a pause has put on hold, so that its end releases these and no others."""
        self._make()
        with (self.folder / f"held-{identity}").open("a") as file:
            file.writelines(f"{instance} {queue_id}\n" for queue_id in ids)
            file.flush()
            os.fsync(file.fileno())

    def held(self, identity: str) -> dict[str, list[str]]:
        """What a pause has put on hold, by instance."""
        found: dict[str, list[str]] = {}
        try:
            text = (self.folder / f"held-{identity}").read_text()
        except FileNotFoundError:
            return found
        for line in text.splitlines():
            instance, _, queue_id = line.partition(" ")
            found.setdefault(instance, []).append(queue_id)
        return found

    def forget_held(self, identity: str) -> None:
        """What a pause put on hold has been released."""
        (self.folder / f"held-{identity}").unlink(missing_ok=True)

    def _make(self) -> None:
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        self._make()
        temporary = path.with_name(f".{path.name}.new")
        with temporary.open("w") as file:
            json.dump(document, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file: a controller and the daemon may both have news."""
        self._make()
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def take_in(folder: PauseFolder, records: list[Record], hold: dict[str, list[str]], seconds: float) -> dict[str, Any]:
    """Add ``records``, put on hold what only the controller knows to be meant (``hold``: by pause and instance, as
    ``ID/INSTANCE``), and wait up to ``seconds`` until the daemon has brought the queues there."""
    known = folder.add(records, time.time()) if records else folder.read()
    for place, ids in hold.items():
        identity, _, instance = place.partition("/")
        folder.note_held(identity, instance, ids)
        spool.act(instance, "hold", ids)
    wanted = {record["id"]: in_force(record, time.time()) for record in records}
    end = time.monotonic() + seconds
    while True:
        entered = folder.entered()
        late = [identity for identity, force in wanted.items() if (identity in entered) is not force]
        if not late or time.monotonic() >= end:
            return {"records": known, "late": late}
        time.sleep(0.05)
