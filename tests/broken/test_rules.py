"""Broken changes that need no host to be found: the rules over the rendered files name each, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys.initialise import complete
from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet
from smtpctl.render.rules import faults
from tests.bench.apply import fleets
from tests.broken.cases import Case, broken, cases

INVENTORIES = Path(__file__).resolve().parent.parent.parent / "inventory"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return Secrets(complete({}, load_fleet(INVENTORIES / "lab.yml"), NOW))


@pytest.fixture(scope="module")
def sound(secrets: Secrets) -> dict[str, DesiredHost]:
    return render_fleet(load_fleet(INVENTORIES / "lab.yml"), secrets)


def said(desired: Mapping[str, DesiredHost]) -> str:
    return "\n".join(f"{host}: {fault}" for host, found in faults(desired, NOW).items() for fault in found)


def test_a_sound_fleet_has_no_faults(sound: dict[str, DesiredHost]) -> None:
    assert said(sound) == ""


@pytest.mark.parametrize("inventory", ["reference", "single", "lab"])
def test_a_fleet_without_its_secrets_has_no_faults(inventory: str) -> None:
    fleet = load_fleet(INVENTORIES / f"{inventory}.yml")
    assert said(render_fleet(fleet, Secrets({}, placeholders=True))) == ""


def test_a_host_alone_is_not_held_against_hosts_that_were_not_rendered(sound: dict[str, DesiredHost]) -> None:
    for name, host in sound.items():
        assert said({name: host}) == ""


@pytest.mark.parametrize("case", [case for case in cases() if case.step == "rules"], ids=str)
def test_rules_name(case: Case, sound: dict[str, DesiredHost], secrets: Secrets) -> None:
    found = said({**sound, case.host: broken(case, sound[case.host], secrets)})
    assert case.expect in found, found
    assert "remedy: " in found
    assert not any(value in found for name, value in secrets.items() if name.endswith(("password", "key", "private")))


@pytest.mark.parametrize("case", [case for case in cases() if case.step != "rules"], ids=str)
def test_rules_leave_to_the_hosts(case: Case, sound: dict[str, DesiredHost], secrets: Secrets) -> None:
    """The table is not stale: what is to stop later is edited into files that are there, and no rule finds it."""
    assert said({**sound, case.host: broken(case, sound[case.host], secrets)}) == ""


def test_a_certificate_is_held_against_the_time_that_is_given(sound: dict[str, DesiredHost]) -> None:
    found = faults(sound, NOW.replace(year=NOW.year + 4))
    assert {fault.path for some in found.values() for fault in some} == {
        path for host in sound.values() for path in host.files if path.endswith(("tls.pem", "/server.pem"))
    }


def test_ten_times_the_hosts_ask_for_about_ten_times_the_work(tmp_path: Path) -> None:
    small, large = calls(tmp_path, 6), calls(tmp_path, 60)
    assert large < 25 * small


def calls(folder: Path, hosts: int) -> int:
    """Functions that are called to hold the rules against a fleet of so many hosts; once before, for what is cached."""
    inventory = folder / f"fleet{hosts}.yml"
    inventory.write_text(fleets.inventory(hosts))
    desired = render_fleet(load_fleet(inventory), Secrets({}, placeholders=True))
    faults(desired, NOW)
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        faults(desired, NOW)
    finally:
        sys.setprofile(None)
    return count
