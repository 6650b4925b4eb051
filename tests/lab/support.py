"""What tests of the lab share: the program as a user runs it, and a fleet that is applied to a lab."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from smtpctl.lab import Lab
from smtpctl.lab.application import Submission, compose, submit
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.secrets import Secrets

REPOSITORY = Path(__file__).resolve().parent.parent.parent
INVENTORY = REPOSITORY / "inventory" / "lab.yml"


@dataclass(frozen=True)
class AppliedFleet:
    """A fleet that is applied to a running lab, by default that of inventory/lab.yml."""

    lab: Lab
    fleet: Fleet
    secrets: Secrets
    inventory: Path = INVENTORY
    environment: Mapping[str, str] = field(default_factory=dict)

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

    def journey(self, identity: str, outcome: str, patience: float = 150.0) -> dict[str, Any]:
        """The message's journey, as soon as the ledger shows that outcome. Fails after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while True:
            command = ("ledger", "show", identity, "-i", str(self.inventory), "--json")
            result = smtpctl(*command, check=False, environment=self.environment)
            journeys = json.loads(result.stdout)["journeys"] if result.stdout else []
            if journeys and journeys[0]["outcome"] == outcome:
                found: dict[str, Any] = journeys[0]
                return found
            assert time.monotonic() < deadline, f"not {outcome} after {patience} s: {journeys or result.stderr}"
            time.sleep(0.3)

    def wait_until_ready(self, patience: float = 120.0) -> None:
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


def smtpctl(
    *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user would. With ``check``, a failure fails the test with what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "smtpctl", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or result.returncode == 0, f"smtpctl {' '.join(arguments)}:\n{result.stdout}{result.stderr}"
    return result
