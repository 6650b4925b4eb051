"""The order of hosts: what others depend on first, and never two of one role at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.plan import waves

INVENTORY = Path(__file__).parents[2] / "inventory"


@pytest.mark.parametrize("name", ["lab", "reference", "vagrant"])
def test_the_database_changes_first_and_the_edges_last_one_by_one(name: str) -> None:
    fleet = load_fleet(INVENTORY / f"{name}.yml")
    assert waves(fleet, list(fleet.hosts)) == (
        ("control1",),
        ("feedback1",),
        ("relay1",),
        ("relay2",),
        ("edge1",),
        ("edge2",),
    )


def test_hosts_that_serve_nothing_yet_do_not_wait_for_each_other() -> None:
    fleet = load_fleet(INVENTORY / "lab.yml")
    hosts = list(fleet.hosts)
    assert waves(fleet, hosts, fresh=hosts) == (
        ("control1", "feedback1", "relay1", "relay2"),
        ("edge1", "edge2"),
    )
    assert waves(fleet, ["relay1", "relay2"], fresh=["relay2"]) == (("relay1",), ("relay2",))


def test_hosts_that_join_wait_for_those_that_serve_before_them() -> None:
    fleet = load_fleet(INVENTORY / "lab.yml")
    assert waves(fleet, list(fleet.hosts), fresh=["feedback1", "relay2", "edge2"]) == (
        ("control1",),
        ("feedback1", "relay2"),
        ("relay1",),
        ("edge1",),
        ("edge2",),
    )


def test_one_host_is_one_wave() -> None:
    fleet = load_fleet(INVENTORY / "single.yml")
    assert waves(fleet, list(fleet.hosts)) == (tuple(fleet.hosts),)


def test_only_the_chosen_hosts_are_in_waves() -> None:
    fleet = load_fleet(INVENTORY / "lab.yml")
    assert waves(fleet, ["edge2", "control1"]) == (("control1",), ("edge2",))
    assert waves(fleet, []) == ()
