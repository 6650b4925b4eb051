"""The running lab, for every test below this folder.

``lab`` is the lab of $SMTPCTL_LAB_DIR (default /var/lib/smtpctl-lab): the one that is up, else one booted for this run
and taken down at its end, unless KEEP=1. A second process of one run has a lab beside it. Fixtures that need more of it
build on this one: make a session-wide fixture that takes ``lab``, brings it to a state, and returns it. Every file
leaves the fleet as it found it.

Every test here runs inside the lab's network and is back outside after it, so that the rest of the suite does not
notice. A session-wide fixture that talks to hosts itself does so in a ``with lab.entered():`` block.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from smtpctl.lab.image import images_folder
from smtpctl.lab.state import StateFolder
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab. Skips, with the reason, for an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root: it makes namespaces, mounts and a bridge")
    process = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    _choose_folder(process)
    lab = Lab()
    booted = lab.up() if lab.status() is None else False
    yield lab
    if booted and os.environ.get("KEEP") != "1":
        lab.down(wipe=process != "gw0")


def _choose_folder(process: str) -> None:
    """The first process takes the lab that a user has; the others, each its own, boot from the same images."""
    folder = StateFolder.of_environment()
    os.environ["SMTPCTL_LAB_IMAGES"] = str(images_folder(folder))
    if process != "gw0":
        os.environ["SMTPCTL_LAB_DIR"] = f"{folder.root}-{process}"


@pytest.fixture(autouse=True)
def inside_lab(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that is marked ``lab`` runs in the lab's network."""
    if request.node.get_closest_marker("lab") is None:
        yield
        return
    with request.getfixturevalue("lab").entered():
        yield


@pytest.fixture(scope="session")
def applied(lab: Lab) -> AppliedFleet:
    """The lab with inventory/lab.yml applied to all six hosts, ready for mail."""
    with INVENTORY.open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        smtpctl("secrets", "init", str(INVENTORY))
    smtpctl("lab", "dns")
    smtpctl("apply", str(INVENTORY), "--yes")
    applied = AppliedFleet(lab, load_fleet(INVENTORY), read_secrets(INVENTORY))
    with lab.entered():
        applied.wait_until_ready()
    return applied
