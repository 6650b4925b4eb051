"""Control and mailboxes are lost with their disks, and come back from a backup: the runbook, run as it stands.

All six hosts are lost in ``make torture TORTURE='--only backup'``.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.lab.backups import mailbox, shown, write_to_postmaster
from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_a_lost_control_host_and_mailboxes_come_back(applied: AppliedFleet, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex[:12]
    kept, erased = f"ada+{mark}@gmail.test", f"bob+{mark}@gmail.test"
    before = applied.send(kept)
    gone = applied.send(erased)
    applied.journey(gone, "delivered")
    applied.journey(before, "delivered")
    letter = write_to_postmaster(applied)

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
    assert kept in shown(applied, before)
    assert "delivered" in shown(applied, gone)
    assert erased not in shown(applied, gone), "the copy of the keys brought the address back"
    assert letter in {str(item["Message-ID"]) for item in mailbox(applied)}
    applied.journey(applied.send(kept), "delivered")


def test_the_files_of_a_backup_render_the_same_fleet(applied: AppliedFleet, tmp_path: Path) -> None:
    taken = json.loads(smtpctl("backup", str(tmp_path / "backup"), "-i", str(INVENTORY), "--json").stdout)
    smtpctl("restore", taken["folder"], "--files", str(tmp_path / "fleet"))
    plan = smtpctl("plan", str(tmp_path / "fleet" / INVENTORY.name), "--exit-code", check=False)
    assert plan.returncode == 0, plan.stdout
    again = smtpctl("restore", taken["folder"], "--files", str(tmp_path / "fleet"), check=False)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
