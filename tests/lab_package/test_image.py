"""The base image: its name, where it is looked for, and what a machine must have to build it."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest

from smtpctl.errors import LabError
from smtpctl.lab import Lab, StateFolder
from smtpctl.lab.environment import filesystem_of, require_programs, require_usable_folder
from smtpctl.lab.image import find_image, image_name, packages


def test_the_name_of_the_image_is_the_same_until_its_recipe_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_name()
    assert image_name() == before
    monkeypatch.setattr("smtpctl.lab.image.packages", lambda: [*packages(), "nullmailer"])
    assert image_name() != before


def test_the_package_list_has_no_duplicates_and_no_comments() -> None:
    assert len(packages()) == len(set(packages()))
    assert all(name.replace("-", "").replace("+", "").replace(".", "").isalnum() for name in packages())


def test_an_image_counts_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMTPCTL_LAB_BASE", raising=False)
    monkeypatch.setenv("SMTPCTL_LAB_IMAGES", str(tmp_path))
    state = StateFolder(tmp_path / "state")
    (tmp_path / f"{image_name()}.unfinished").mkdir()
    assert find_image(state) is None
    (tmp_path / image_name()).mkdir()
    assert find_image(state) == tmp_path / image_name()


def test_images_lie_in_the_state_folder_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMTPCTL_LAB_BASE", raising=False)
    monkeypatch.delenv("SMTPCTL_LAB_IMAGES", raising=False)
    (tmp_path / "images" / image_name()).mkdir(parents=True)
    assert find_image(StateFolder(tmp_path)) == tmp_path / "images" / image_name()


def test_programs_that_are_missing_are_named_with_the_packages_that_bring_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="missing on this machine: mmdebstrap, systemd-nspawn") as caught:
        require_programs(["mmdebstrap", "systemd-nspawn"])
    assert caught.value.hint == "apt-get install mmdebstrap systemd-container"


def test_a_state_folder_that_the_lab_hides_inside_is_refused() -> None:
    with pytest.raises(LabError, match="/run is hidden"):
        require_usable_folder(Path("/run"))


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(Path("/sys")) == "sysfs"


def _refusals(state: StateFolder, answers: SimpleQueue[str]) -> None:
    """What an ordinary user is told; run in a child, which gives up root for good."""
    if os.geteuid() == 0:
        os.setuid(65534)
    for command in (Lab(state).build, Lab(state).up, Lab(state).down):
        try:
            command()
        except LabError as error:
            answers.put(str(error))


def test_an_ordinary_user_is_told_that_the_lab_needs_root(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_refusals, args=(StateFolder(tmp_path / "lab"), answers))
    child.start()
    child.join()
    told = [answers.get() for _ in range(3)]
    assert told == ["the lab needs root: it makes namespaces, mounts and a bridge"] * 3
    assert not (tmp_path / "lab").exists()
