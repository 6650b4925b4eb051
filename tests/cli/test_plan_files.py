"""Plan files: they hold a fleet to what was shown, and tell nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.cli.plan_files import read_plans, write_plans
from smtpctl.errors import UsageError
from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.model.plans import FileFact, HostPlan, Kind, ObservedHost
from smtpctl.plan import moved, plan_host, save


def plan(wanted: str, found: str) -> HostPlan:
    desired = DesiredHost("h1", {"/etc/a": ManagedFile("/etc/a", wanted.encode())}, (), (), (), ())
    fact = FileFact(Kind.FILE, ManagedFile("/etc/a", found.encode()).sha256, 0o644, "root", "root")
    return plan_host(desired, ObservedHost("h1", {"/etc/a": fact}))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    out = tmp_path / "friday.plan"
    write_plans(out, tmp_path / "fleet.yml", {"h1": plan("hunter2", "old")})
    read = read_plans(out)
    assert read is not None
    assert (read.inventory, dict(read.hosts)) == (tmp_path / "fleet.yml", {"h1": save(plan("hunter2", "old"))})
    assert out.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in out.read_text()


def test_an_inventory_is_no_plan_file(tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.yml"
    inventory.write_text("version: 1\n")
    assert read_plans(inventory) is None


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "old.plan"
    out.write_text('{\n  "smtpctl-plan": 0\n}\n')
    with pytest.raises(UsageError, match="is a plan of version 0, not 1"):
        read_plans(out)


def test_what_moved_is_named() -> None:
    saved = save(plan("new", "old"))
    assert moved(saved, plan("new", "old")) == ""
    assert moved(saved, plan("new", "other")) == "changed on the host: /etc/a"
    assert moved(saved, plan("new", "new")) == "changed on the host: /etc/a"
    assert moved(saved, plan("newer", "old")).startswith("the inventory renders revision ")
