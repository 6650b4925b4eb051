"""The lab's folder: its lock, its record, and what counts as a running lab."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from smtpctl.errors import LabError
from smtpctl.lab import Lab
from smtpctl.lab.linux import start_time
from smtpctl.lab.state import Record, StateFolder, locked


def record(pid: int, started: str) -> Record:
    return Record(pid, started, "/sys/fs/cgroup/none", {"ctl": "10.78.0.1", "edge1": "10.78.0.11"}, "lab.yml")


def test_a_record_counts_only_while_its_very_process_lives(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.run.mkdir()
    assert state.running() is None
    mine = record(os.getpid(), start_time(os.getpid()))
    state.write_record(mine)
    assert state.running() == mine
    state.write_record(record(os.getpid(), "1"))  # the process id was used again
    assert state.running() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"unknown": 2}'])
def test_a_record_that_makes_no_sense_is_a_lab_that_is_down(tmp_path: Path, content: str) -> None:
    state = StateFolder(tmp_path)
    state.run.mkdir()
    state.record.write_text(content)
    assert state.running() is None


def test_the_cgroups_name_comes_from_the_folders_path_alone(tmp_path: Path) -> None:
    assert StateFolder(tmp_path / "a").name == StateFolder(tmp_path / "a").name
    assert StateFolder(tmp_path / "a").name != StateFolder(tmp_path / "b").name


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTPCTL_LAB_DIR", "/srv/other")
    assert StateFolder.of_environment().root == Path("/srv/other")
    monkeypatch.delenv("SMTPCTL_LAB_DIR")
    assert StateFolder.of_environment().root == Path("/var/lib/smtpctl-lab")


def test_a_lab_that_is_down_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is down") as caught:
        Lab(StateFolder(tmp_path)).enter()
    assert caught.value.hint == "run: smtpctl lab up"


def _hold(folder: Path, ready: str, seconds: float) -> None:
    with locked(folder, lambda _: None):
        Path(ready).touch()
        time.sleep(seconds)


def test_a_second_command_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, str(ready), 0.5))
    holder.start()
    while not ready.exists():
        time.sleep(0.01)
    said: list[str] = []
    with pytest.raises(LabError, match="holds"), locked(tmp_path, said.append, patience=0.05):
        pass
    with locked(tmp_path, said.append, patience=10.0):
        assert said == [f"another smtpctl lab command works in {tmp_path}; waiting for it"] * 2
    holder.join()
