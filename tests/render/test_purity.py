"""Promise 1: configuration is a pure function of the inventory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet
from tests.clocks import faked

REPOSITORY = Path(__file__).resolve().parent.parent.parent
REVISIONS = """
import sys
from datetime import datetime
from pathlib import Path
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet
fleet = load_fleet(Path(sys.argv[1]))
print(datetime.now().year)
for name, host in render_fleet(fleet, Secrets({}, placeholders=True)).items():
    print(name, host.revision)
"""


def revisions(inventory: Path, folder: Path, **environment: str) -> str:
    command = [sys.executable, "-c", REVISIONS, str(inventory)]
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", ["reference", "single"])
def test_the_same_inventory_gives_the_same_bytes_under_any_clock_locale_zone_seed_and_folder(
    name: str, tmp_path: Path
) -> None:
    later = faked(FAKETIME="@2031-02-03 04:05:06")
    if not later:
        pytest.skip("libfaketime is missing: apt-get install faketime")
    inventory = REPOSITORY / "inventory" / f"{name}.yml"
    here = revisions(inventory, REPOSITORY, PYTHONHASHSEED="1", LC_ALL="C.UTF-8", TZ="UTC")
    moved = tmp_path / "elsewhere.yml"
    shutil.copy(inventory, moved)
    elsewhere = {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}
    there = revisions(moved, tmp_path, **elsewhere, **later)
    assert there.startswith("2031\n")
    assert here.split("\n")[1:] == there.split("\n")[1:]


def test_rendering_opens_no_socket_and_starts_no_process(any_fleet: Fleet, no_secrets: Secrets) -> None:
    forbidden = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
    seen: list[str] = []
    watching = [True]

    def watch(event: str, _arguments: object) -> None:
        if watching and event.startswith(forbidden):
            seen.append(event)

    sys.addaudithook(watch)
    render_fleet(any_fleet, no_secrets)
    watching.clear()
    assert seen == []
