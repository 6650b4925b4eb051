"""A lab begins and ends: what it leaves on this machine, whichever way it ends, is nothing.

Each test boots a lab of its own beside the one that may be running; both use the same addresses, each in its own
network.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtpctl.errors import LabError
from smtpctl.lab import Lab, StateFolder
from smtpctl.lab.image import images_folder
from smtpctl.lab.linux import cgroup_root, find_cgroup, start_time

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab of this test's own, down, with the images that all labs of this machine share."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root: it makes namespaces, mounts and a bridge")
    shared = Lab()
    shared.build()
    monkeypatch.setenv("SMTPCTL_LAB_IMAGES", str(images_folder(shared.state)))
    monkeypatch.setenv("SMTPCTL_LAB_DIR", str(tmp_path / "lab"))
    lab = Lab(StateFolder(tmp_path / "lab"))
    yield lab
    lab.down()


@dataclass(frozen=True)
class Machine:
    """What a lab could leave behind: mounts and interfaces of this machine, and processes and cgroups of the lab."""

    mounts: str
    interfaces: str
    processes: tuple[str, ...]
    cgroups: tuple[str, ...]

    @classmethod
    def seen(cls, lab: Lab) -> Machine:
        return cls(
            Path("/proc/self/mounts").read_text(),
            subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout,
            tuple(_command_lines(str(lab.state.root))),
            # os.walk passes over what goes away meanwhile: another lab's cgroups, say
            tuple(folder for folder, _, _ in os.walk(cgroup_root()) if Path(folder).name == lab.state.name),
        )


def _command_lines(folder: str) -> Iterator[str]:
    """Command lines of processes that have to do with the lab of ``folder``."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder in line:
            yield line


def host_processes(lab: Lab) -> list[int]:
    return [lab.first_process(host) for host in lab.addresses if host != "ctl"]


def eventually(condition: Callable[[], bool], *, within: float = 10.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_down_leaves_nothing_and_keeps_the_keys(lab: Lab) -> None:
    before = Machine.seen(lab)
    assert lab.up()
    assert not lab.up()
    with pytest.raises(LabError, match="the lab is up with"):
        lab.up(Path("inventory/reference.yml"))
    processes = host_processes(lab)
    known_hosts = lab.state.known_hosts.read_text()
    assert Machine.seen(lab).mounts == before.mounts
    assert Machine.seen(lab).interfaces == before.interfaces
    lab.down()
    assert Machine.seen(lab) == before
    assert not any(start_time(pid) for pid in processes)
    assert not lab.state.hosts.exists()
    assert lab.state.known_hosts.read_text() == known_hosts


def test_killing_the_first_process_of_the_lab_ends_all_of_it(lab: Lab) -> None:
    before = Machine.seen(lab)
    lab.up()
    processes = host_processes(lab)
    os.kill(lab.running().pid, signal.SIGKILL)
    assert eventually(lambda: Machine.seen(lab) == before), Machine.seen(lab)
    assert not any(start_time(pid) for pid in processes)
    assert lab.status() is None


def test_killing_the_keeper_ends_the_lab_and_down_tidies_up(lab: Lab) -> None:
    before = Machine.seen(lab)
    lab.up()
    first = lab.running().pid
    keeper = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    assert eventually(lambda: lab.status() is None)
    lab.down()
    assert Machine.seen(lab) == before


def test_down_finds_a_lab_whose_state_was_lost(lab: Lab) -> None:
    before = Machine.seen(lab)
    lab.up()
    processes = host_processes(lab)
    lab.state.record.unlink()
    assert lab.status() is None
    assert find_cgroup(lab.state.name) is not None
    lab.down()
    assert Machine.seen(lab) == before
    assert not any(start_time(pid) for pid in processes)


def test_two_ups_at_once_make_one_lab_and_wipe_removes_its_folder(lab: Lab) -> None:
    command = [sys.executable, "-c", "from smtpctl.cli import main; main()", "lab", "up"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert sum("already up" in words for words in said) == 1
    lab.down(wipe=True)
    assert not lab.state.root.exists()
