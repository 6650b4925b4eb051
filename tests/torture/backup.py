"""All six hosts are lost with their disks, and the folder with inventory and secrets; everything comes back from one
backup, on empty hosts.

Compared are: inventory and secrets, byte for byte; the revision of every host, and that a plan finds nothing; the rows
of every table of the ledger; each message's journey, with the addresses that its keys open; the mailboxes, letter for
letter. An address that was erased after the backup stays erased. How much mail there is follows from the seed.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from tests.lab.backups import mailbox, shown, write_to_postmaster
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

FILES = (INVENTORY.name, f"{INVENTORY.stem}.secrets.age", f"{INVENTORY.stem}.recipients")
#: Local parts of recipients, and what becomes of their mail (docs/lab.md).
FATES = {"ada": "delivered", "nobody": "bounced"}


def torture(seed: int) -> None:
    """One round. Raise AssertionError with what did not come back."""
    lot = random.Random(seed)
    with _applied() as (applied, folder):
        sent = _traffic(applied, lot)
        erased = f"bob+{uuid.uuid4().hex}@gmail.test"
        gone = applied.send(erased)
        applied.journey(gone, "delivered", hosts=2)
        backup, before = _backup(applied, folder / "backup", sent)
        receipt = folder / "receipt.json"
        receipt.write_text(_smtpctl(applied, "gdpr", "erase", erased, "--yes"))

        kept = {name: (applied.inventory.parent / name).read_bytes() for name in FILES}
        shutil.rmtree(applied.inventory.parent)
        for host in applied.fleet.hosts:
            applied.lab.reinstall_host(host)
        fleet = folder / "again"
        smtpctl("restore", backup["folder"], "--files", str(fleet))
        assert {name: (fleet / name).read_bytes() for name in FILES} == kept
        applied = replace(applied, inventory=fleet / INVENTORY.name)
        smtpctl("apply", str(applied.inventory), "--yes")
        answer = json.loads(_smtpctl(applied, "restore", backup["folder"], "--erased", str(receipt), "--yes", "--json"))
        assert answer["rows"] == backup["manifest"]["ledger"]["rows"]
        assert (answer["erased_again"], answer["other_revisions"]) == (1, [])
        applied.wait_until_ready()
        _compare(before, _state(applied, sent))
        assert erased not in shown(applied, gone)
        plan = smtpctl("plan", str(applied.inventory), "--exit-code", check=False)
        assert plan.returncode == 0, plan.stdout + plan.stderr
        applied.journey(applied.send("ada@gmail.test"), "delivered")


@dataclass(frozen=True, slots=True)
class _State:
    """What has to be the same afterwards."""

    journeys: dict[str, Any]
    letters: dict[str, bytes]


def _state(applied: AppliedFleet, sent: list[str]) -> _State:
    return _State(
        {identity: json.loads(shown(applied, identity)) for identity in sent},
        {str(letter["Message-ID"]): letter.as_bytes() for letter in mailbox(applied)},
    )


def _backup(applied: AppliedFleet, folder: Path, sent: list[str]) -> tuple[dict[str, Any], _State]:
    """A backup, and the state that it was taken of: none came to the ledger meanwhile, as a report of a bounce may."""
    for _ in range(20):
        before = _state(applied, sent)
        backup: dict[str, Any] = json.loads(_smtpctl(applied, "backup", str(folder), "--json"))
        if _state(applied, sent) == before:
            return backup, before
    raise AssertionError("what was sent goes on changing in the ledger")


def _compare(before: _State, after: _State) -> None:
    """Nothing of it is missing or different. The mailbox may have more by now."""
    problems = [f"journey of {key}" for key, journey in before.journeys.items() if after.journeys[key] != journey]
    problems += [f"letter {key}" for key, letter in before.letters.items() if after.letters.get(key) != letter]
    assert not problems, f"not as it was: {', '.join(problems)}"


def _traffic(applied: AppliedFleet, lot: random.Random) -> list[str]:
    """Mail of every fate, and letters to the postmaster; what was sent, by Message-ID, once the ledger has it."""
    sent: dict[str, str] = {}
    for fate, outcome in FATES.items():
        for _ in range(lot.randrange(1, 6)):
            sent[applied.send(f"{fate}+{uuid.uuid4().hex}@gmail.test")] = outcome
    for identity, outcome in sent.items():
        applied.journey(identity, outcome, hosts=2)
    for _ in range(lot.randrange(1, 4)):
        write_to_postmaster(applied)
    return list(sent)


def _smtpctl(applied: AppliedFleet, *words: str) -> str:
    return smtpctl(*words, "-i", str(applied.inventory)).stdout


@contextmanager
def _applied() -> Iterator[tuple[AppliedFleet, Path]]:
    """The lab's fleet, applied from a copy of its inventory in a folder; it is the lab's own again afterwards."""
    lab = Lab()
    booted = lab.up() if lab.status() is None else False
    try:
        smtpctl("secrets", "init", str(INVENTORY))
        smtpctl("lab", "dns")
        with tempfile.TemporaryDirectory(prefix="smtpctl-backup-") as name:
            folder = Path(name)
            copy = folder / "fleet" / INVENTORY.name
            copy.parent.mkdir()
            for file in FILES:
                shutil.copy(INVENTORY.parent / file, copy.parent)
            smtpctl("apply", str(copy), "--yes")
            applied = AppliedFleet(lab, load_fleet(copy), read_secrets(copy), copy)
            with lab.entered():
                applied.wait_until_ready()
                yield applied, folder
    finally:
        if booted:
            lab.down()
        else:
            smtpctl("apply", str(INVENTORY), "--yes")
