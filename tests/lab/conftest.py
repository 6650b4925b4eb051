"""The running lab, for every test below this folder.

``lab`` is the lab of $SMTPCTL_LAB_DIR (default /var/lib/smtpctl-lab): the one that is up, else one booted for this run
and taken down at its end, unless KEEP=1. Fixtures that need more of it build on this one: make a session-wide fixture
that takes ``lab``, brings it to a state, and returns it.

Every test here runs inside the lab's network and is back outside after it, so that the rest of the suite does not
notice. A session-wide fixture that talks to hosts itself does so in a ``with lab.entered():`` block.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from smtpctl.lab.application import Submission, compose, submit
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.secrets import Secrets

REPOSITORY = Path(__file__).resolve().parent.parent.parent
INVENTORY = REPOSITORY / "inventory" / "lab.yml"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab. Skips, with the reason, for an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root: it makes namespaces, mounts and a bridge")
    lab = Lab()
    booted = lab.up() if lab.status() is None else False
    yield lab
    if booted and os.environ.get("KEEP") != "1":
        lab.down()


@pytest.fixture(autouse=True)
def inside_lab(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that is marked ``lab`` runs in the lab's network."""
    if request.node.get_closest_marker("lab") is None:
        yield
        return
    with request.getfixturevalue("lab").entered():
        yield


@dataclass(frozen=True)
class AppliedFleet:
    """The fleet of inventory/lab.yml, applied to the running lab."""

    lab: Lab
    fleet: Fleet
    secrets: Secrets

    def place(self, credential: str = "shop", *, address: str | None = None, port: int = 587) -> Submission:
        """Where ``credential`` submits: the virtual address, or ``address``."""
        virtual = str(self.fleet.balancing.virtual_address).partition("/")[0]
        return Submission(
            address=address or virtual,
            name=self.fleet.balancing.name,
            authority=self.secrets["tls/ca/certificate"],
            credential=credential,
            password=self.secrets[f"credentials/{credential}/password"],
            port=port,
        )

    def message(self, sender: str, recipient: str) -> EmailMessage:
        return compose(sender, [recipient], "A test", identity=f"{uuid.uuid4().hex}@{sender.partition('@')[2]}")

    def send(self, recipient: str, *, credential: str = "shop", sender: str = "orders@shop.test") -> str:
        """Submit one message to the virtual address; its Message-ID without brackets."""
        message = self.message(sender, recipient)
        submit(self.place(credential), message, sender=sender, recipients=[recipient])
        return str(message["Message-ID"]).strip("<>")

    def journey(self, identity: str, outcome: str, patience: float = 40.0) -> dict[str, Any]:
        """The message's journey, as soon as the ledger shows that outcome. Fails after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while True:
            result = smtpctl("ledger", "show", identity, "-i", str(INVENTORY), "--json", check=False)
            journeys = json.loads(result.stdout)["journeys"] if result.stdout else []
            if journeys and journeys[0]["outcome"] == outcome:
                found: dict[str, Any] = journeys[0]
                return found
            assert time.monotonic() < deadline, f"not {outcome} after {patience} s: {journeys or result.stderr}"
            time.sleep(0.3)

    def wait_until_ready(self, patience: float = 60.0) -> None:
        """Until both submission hosts say that they are ready for mail, and a balancer holds the virtual address."""
        deadline = time.monotonic() + patience
        while not all(self._ready(host) for host in self.fleet.hosts_with(Role.SUBMISSION)) or not self._greets():
            assert time.monotonic() < deadline, f"the submission hosts are not ready after {patience} s"
            time.sleep(0.3)

    def _ready(self, host: str) -> bool:
        return self.lab.run(host, ["/usr/local/lib/smtpctl/check-ready"], check=False).returncode == 0

    def _greets(self) -> bool:
        place = self.place()
        try:
            with socket.create_connection((place.address, place.port), 2) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False


def smtpctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the program as a user would. With ``check``, a failure fails the test with what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "smtpctl", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert not check or result.returncode == 0, f"smtpctl {' '.join(arguments)}:\n{result.stdout}{result.stderr}"
    return result


@pytest.fixture(scope="session")
def applied(lab: Lab) -> AppliedFleet:
    """The lab with inventory/lab.yml applied to all six hosts, ready for mail."""
    smtpctl("secrets", "init", str(INVENTORY))
    smtpctl("lab", "dns")
    smtpctl("apply", str(INVENTORY), "--yes")
    applied = AppliedFleet(lab, load_fleet(INVENTORY), read_secrets(INVENTORY))
    with lab.entered():
        applied.wait_until_ready()
    return applied
