"""Changing the applied fleet through the command line, as an operator does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = pytest.mark.lab

MANAGED = "find /etc /usr/local -xdev -type f -newer /run/before-change"


@pytest.fixture
def inventory(applied: AppliedFleet, tmp_path: Path) -> Path:
    """A copy of the inventory and its secrets, to change."""
    for source in (INVENTORY, INVENTORY.with_suffix(".secrets.age")):
        shutil.copy(source, tmp_path / source.name)
    return tmp_path / INVENTORY.name


@pytest.fixture
def edited(applied: AppliedFleet) -> Iterator[str]:
    """A file of relay2 that somebody edited by hand; it is as before after the test."""
    path = "/etc/postfix-transactional/main.cf"
    applied.lab.run("relay2", ["cp", "-a", path, "/run/main.cf"])
    applied.lab.run("relay2", ["sh", "-c", f"echo '# by hand' >> {path}"])
    yield path
    applied.lab.run("relay2", ["cp", "-a", "/run/main.cf", path])
    applied.lab.run("relay2", ["systemctl", "reload", "postfix@transactional"])


def change(inventory: Path, old: str, new: str) -> None:
    text = inventory.read_text()
    assert old in text
    inventory.write_text(text.replace(old, new))


def test_one_invalid_host_of_six_leaves_six_unchanged(applied: AppliedFleet, inventory: Path) -> None:
    change(inventory, "pools:\n", "parameters: {transactional: {default_process_limit: '77'}}\npools:\n")
    change(
        inventory,
        "    address: 10.78.0.14\n",
        "    address: 10.78.0.14\n    parameters: {transactional: {no_such_parameter: 'x'}}\n",
    )
    for host in applied.fleet.hosts:
        applied.lab.run(host, ["touch", "/run/before-change"])
    answer = smtpctl("apply", str(inventory), "--yes", check=False)
    assert answer.returncode == 1
    assert "relay2: validate: " in answer.stderr
    assert "no_such_parameter" in answer.stderr
    assert "nothing was applied; failed on: relay2" in answer.stderr
    for host in applied.fleet.hosts:
        assert applied.lab.run(host, ["sh", "-c", MANAGED]).stdout == ""


def test_a_change_of_one_pool_reloads_that_pools_instance_on_one_relay_after_the_other(
    applied: AppliedFleet, inventory: Path
) -> None:
    change(inventory, "pools:\n", "parameters: {transactional: {default_process_limit: '77'}}\npools:\n")
    plan = json.loads(smtpctl("plan", str(inventory), "--json").stdout)["hosts"]
    assert [host for host, document in plan.items() if document["changes"]] == ["relay1", "relay2"]
    assert plan["relay1"]["summary"] == "default_process_limit set to 77; reload postfix@transactional"
    before = applied.lab.run("relay1", ["systemctl", "show", "-P", "MainPID", "postfix@transactional"]).stdout
    lines = smtpctl("apply", str(inventory), "--yes", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    done = [event["host"] for event in events if event.get("event") == "done"]
    swaps = [event["host"] for event in events if event.get("event") == "swap"]
    assert (swaps, done) == (["relay1", "relay2"], ["relay1", "relay2"])
    assert applied.lab.run("relay1", ["systemctl", "show", "-P", "MainPID", "postfix@transactional"]).stdout == before
    value = applied.lab.run("relay1", ["postconf", "-c", "/etc/postfix-transactional", "-h", "default_process_limit"])
    assert value.stdout == "77\n"
    back = smtpctl("rollback", "relay1", "-i", str(INVENTORY), "--yes")
    assert "relay1       applied" in back.stdout
    assert smtpctl("apply", str(INVENTORY), "--yes").returncode == 0
    history = json.loads(smtpctl("history", "relay1", "-i", str(INVENTORY), "--json").stdout)["hosts"]["relay1"]
    assert history[-1]["kind"] == "rollback"
    assert history[-1]["changed"] == [["change", "/etc/postfix-transactional/main.cf"]]


def test_a_saved_plan_is_refused_when_a_host_has_moved_since(
    applied: AppliedFleet, inventory: Path, tmp_path: Path
) -> None:
    change(
        inventory,
        "    address: 10.78.0.14\n",
        "    address: 10.78.0.14\n    parameters: {transactional: {bounce_size_limit: '7'}}\n",
    )
    saved = tmp_path / "friday.plan"
    options = ("--role", "relay", "--out", str(saved), "--exit-code")
    assert smtpctl("plan", str(inventory), *options, check=False).returncode == 3
    assert saved.stat().st_mode & 0o777 == 0o600
    assert "bounce_size_limit" not in saved.read_text()
    assert smtpctl("apply", str(saved), "--yes").returncode == 0
    again = smtpctl("apply", str(saved), "--yes", check=False)
    assert again.returncode == 1
    assert "relay2: plan: not as it was when the plan was saved" in again.stderr
    assert smtpctl("apply", str(INVENTORY), "--yes").returncode == 0


def test_a_hand_edit_is_drift_and_is_overwritten_only_when_that_is_said(
    applied: AppliedFleet, edited: str, tmp_path: Path
) -> None:
    metrics = tmp_path / "drift.prom"
    drift = smtpctl("drift", str(INVENTORY), "--host", "relay2", "--exit-code", "--textfile", str(metrics), check=False)
    assert drift.returncode == 3
    assert f"relay2: edited: {edited} was edited by hand" in drift.stdout
    assert 'smtpctl_drift_findings{host="relay2",kind="edited"} 1' in metrics.read_text()
    refused = smtpctl("apply", str(INVENTORY), "--host", "relay2", "--yes", check=False)
    assert refused.returncode == 1
    assert f"edited by hand on the host: {edited}" in refused.stderr
    assert smtpctl("apply", str(INVENTORY), "--host", "relay2", "--yes", "--take-over").returncode == 0
    assert smtpctl("drift", str(INVENTORY), "--host", "relay2").stdout == "relay2: no drift\n"


def test_no_secret_stands_in_a_plan_or_where_an_apply_leaves_bytes(applied: AppliedFleet, inventory: Path) -> None:
    """Every secret value is a canary: the output of a plan from bare, journals and process lists know none of them."""
    secret = [
        value
        for name, value in applied.secrets.items()
        if len(value) >= 8 and not name.endswith(("/public", "/certificate"))
    ]
    lines = {line for value in secret for line in value.splitlines() if len(line) >= 20 and "-----" not in line}
    change(inventory, "  marketing: {port: 10026}\n", "  marketing: {port: 10027}\n")
    shown = smtpctl("plan", str(inventory)).stdout + smtpctl("plan", str(inventory), "--json").stdout
    assert [line for line in lines if line in shown] == []
    for host in applied.fleet.hosts:
        journal = applied.lab.run(host, ["journalctl", "--no-pager", "--output", "verbose"]).stdout
        records = applied.lab.run(host, ["sh", "-c", "cat /var/lib/smtpctl/revisions/* /proc/[0-9]*/cmdline"]).stdout
        assert [line for line in lines if line in journal or line in records] == []
        readable = applied.lab.run(host, ["find", "/var/lib/smtpctl", "!", "-type", "l", "-perm", "/077"]).stdout
        assert readable == ""
