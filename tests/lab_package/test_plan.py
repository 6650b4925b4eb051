"""What a lab boots, from the inventory, and which addresses its hosts may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.errors import LabError
from smtpctl.lab.fleet import default_inventory, plan_lab
from smtpctl.lab.plan import Plan

IMAGE = Path("/images/trixie")


def test_the_default_is_the_inventory_of_the_repository() -> None:
    assert default_inventory().parts[-2:] == ("inventory", "lab.yml")


def test_the_hosts_of_the_inventory_are_booted_at_their_addresses_and_the_internet_beside_them() -> None:
    plan = plan_lab(default_inventory(), IMAGE)
    assert [host.name for host in plan.hosts] == [
        "edge1", "edge2", "relay1", "relay2", "feedback1", "control1", "inet",
    ]  # fmt: skip
    assert plan.addresses["relay1"] == "10.78.0.13"
    assert plan.full_names["inet.lab.test"] == "10.78.0.2"
    assert plan.full_names["ctl.lab.test"] == "10.78.0.1"


def test_a_plan_survives_its_way_to_the_process_tree() -> None:
    plan = plan_lab(default_inventory(), IMAGE)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("address", ["10.79.0.11", "10.78.0.1", "10.78.0.2", "10.78.1.9", "192.0.2.1"])
def test_a_host_cannot_have_an_address_that_the_lab_lacks_or_uses(tmp_path: Path, address: str) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(default_inventory().read_text().replace("address: 10.78.0.13", f"address: {address}"))
    with pytest.raises(LabError, match=f"host relay1 has address {address}"):
        plan_lab(inventory, IMAGE)


def test_a_host_cannot_be_called_as_the_labs_own(tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(default_inventory().read_text().replace("  edge1:\n", "  inet:\n"))
    with pytest.raises(LabError, match="host name 'inet' is the lab's own"):
        plan_lab(inventory, IMAGE)
