"""What tests of the lab share: the program as a user runs it, and a fleet that is applied to a lab."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

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

    def journey(self, identity: str, outcome: str, patience: float = 150.0, hosts: int = 1) -> dict[str, Any]:
        """The message's journey, once the ledger shows that outcome and so many hosts of it: the log of a later one may
        come first. Fails after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while True:
            command = ("ledger", "show", identity, "-i", str(self.inventory), "--json")
            result = smtpctl(*command, check=False, environment=self.environment)
            journeys = json.loads(result.stdout)["journeys"] if result.stdout else []
            if journeys and journeys[0]["outcome"] == outcome and len(journeys[0]["messages"]) >= hosts:
                found: dict[str, Any] = journeys[0]
                return found
            assert time.monotonic() < deadline, f"not {outcome} after {patience} s: {journeys or result.stderr}"
            time.sleep(0.3)

    def refused(self, identity: str) -> dict[str, Any]:
        """The attempt that ended a message for good. The feedback host's log, with the notice of it, may come first."""
        found: list[dict[str, Any]] = []

        def attempts() -> bool:
            messages = self.journey(identity, "bounced")["messages"]
            found[:] = [item for message in messages for item in message["deliveries"] if item["hardness"] == "hard"]
            return bool(found)

        until(attempts, "the relay's attempt is not in the ledger")
        return found[0]

    def wait_until_ready(self, patience: float = 120.0) -> None:
        """Until both submission hosts say that they are ready for mail, both balancers have heard it, and one of them
        holds the virtual address."""
        edges = self.fleet.hosts_with(Role.SUBMISSION)
        until(lambda: all(map(self._ready, edges)) and self.greets(), "the submission hosts are not ready", patience)
        until(lambda: all(map(self._sees_all, self.fleet.hosts_with(Role.BALANCER))), "a server is down", patience)

    def _sees_all(self, balancer: str) -> bool:
        try:
            states = server_states(self, balancer)
        except OSError:
            return False
        return all(states[edge] == "UP" for edge in self.fleet.hosts_with(Role.SUBMISSION))

    def _ready(self, host: str) -> bool:
        return self.lab.run(host, ["/usr/local/lib/smtpctl/check-ready"], check=False).returncode == 0

    def greets(self) -> bool:
        place = self.place()
        try:
            with socket.create_connection((place.address, place.port), 2) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False


def server_states(applied: AppliedFleet, balancer: str) -> dict[str, str]:
    """Submission host -> UP, DOWN, … as a balancer sees it."""
    url = f"http://{applied.fleet.hosts[balancer].address}:8405/;csv"
    with urllib.request.urlopen(url, timeout=5) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode().lstrip("# "))))
    return {row["svname"]: row["status"] for row in rows if row["pxname"] == "submission"}


def until(
    so: Callable[[], object], otherwise: str | Callable[[], str] = "it is not so", patience: float = 150.0
) -> None:
    """Wait for a condition, at most ``patience`` seconds; ``otherwise`` says what is wrong when it does not come."""
    end = time.monotonic() + patience
    while not so():
        if time.monotonic() > end:
            pytest.fail(f"after {patience:g} s: {otherwise if isinstance(otherwise, str) else otherwise()}")
        time.sleep(0.3)


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
