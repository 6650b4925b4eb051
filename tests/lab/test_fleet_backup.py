"""Control and mailboxes are lost with their disks, and come back from a backup: the runbook, run as it stands."""

from __future__ import annotations

import json
import smtplib
import time
import uuid
from email.message import EmailMessage
from pathlib import Path

import pytest

from smtpctl.lab.application import read_mailbox
from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def mailbox(applied: AppliedFleet) -> list[EmailMessage]:
    host = applied.fleet.hosts["feedback1"]
    authority = applied.secrets["tls/ca/certificate"]
    password = applied.secrets["mailboxes/postmaster/password"]
    return read_mailbox(host.address, "feedback1.lab.test", authority, "postmaster", password)


def await_mail(applied: AppliedFleet, identity: str) -> None:
    deadline = time.monotonic() + 150
    while identity not in {str(item["Message-ID"]) for item in mailbox(applied)}:
        assert time.monotonic() < deadline, "the mail to postmaster did not come"
        time.sleep(0.3)


def shown(identity: str) -> str:
    """What an operator sees of a message, with the addresses that can be opened."""
    return smtpctl("ledger", "show", identity, "-i", str(INVENTORY), "--json").stdout


def test_a_lost_control_host_and_mailboxes_come_back(applied: AppliedFleet, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex[:12]
    kept, erased = f"ada+{mark}@gmail.test", f"bob+{mark}@gmail.test"
    before = applied.send(kept)
    gone = applied.send(erased)
    applied.journey(gone, "delivered")
    applied.journey(before, "delivered")
    letter = applied.message("ada@gmail.test", "postmaster@shop.test")
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=20) as session:
        session.send_message(letter, "ada@gmail.test", ["postmaster@shop.test"])
    await_mail(applied, str(letter["Message-ID"]))

    taken = json.loads(smtpctl("backup", str(tmp_path), "-i", str(INVENTORY), "--json").stdout)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or mark.encode() not in path.read_bytes()
    receipt = tmp_path / "receipt.json"  # younger than the copy of the keys
    receipt.write_text(smtpctl("gdpr", "erase", erased, "--yes", "-i", str(INVENTORY)).stdout)

    for host in ("control1", "feedback1"):
        applied.lab.reinstall_host(host)
    page = RUNBOOKS / "control-dead.md"
    walk = Walk(page, INVENTORY, {"backup/DATE": taken["folder"], "receipt.json": str(receipt)})
    assert walk.run("status", check=False).returncode == 1
    walk.run("apply", "--yes")
    restored = walk.run("restore", "--yes")
    walk.run("ledger stats")
    walk.done()
    assert "erasures: 1 done again" in restored.stdout
    assert "another revision" not in restored.stderr
    assert kept in shown(before)
    assert "delivered" in shown(gone)
    assert erased not in shown(gone), "the copy of the keys was older than the erasure, and brought the address back"
    assert str(letter["Message-ID"]) in {str(item["Message-ID"]) for item in mailbox(applied)}
    applied.journey(applied.send(kept), "delivered")


def test_the_files_of_a_backup_render_the_same_fleet(applied: AppliedFleet, tmp_path: Path) -> None:
    taken = json.loads(smtpctl("backup", str(tmp_path / "backup"), "-i", str(INVENTORY), "--json").stdout)
    smtpctl("restore", taken["folder"], "--files", str(tmp_path / "fleet"))
    plan = smtpctl("plan", str(tmp_path / "fleet" / INVENTORY.name), "--exit-code", check=False)
    assert plan.returncode == 0, plan.stdout
    again = smtpctl("restore", taken["folder"], "--files", str(tmp_path / "fleet"), check=False)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
