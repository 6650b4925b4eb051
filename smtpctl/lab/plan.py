"""What a lab boots, as values: each host's name and address, and the image below all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from smtpctl.lab.addresses import CONTROLLER, CONTROLLER_ADDRESS


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """One host: its name, its full name and its address."""

    name: str
    full_name: str
    address: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One lab: the image below every host, and the hosts in the order they are started."""

    image: str
    inventory: str
    hosts: tuple[PlannedHost, ...]

    @property
    def addresses(self) -> Mapping[str, str]:
        """Address by name, of the hosts and of the controller."""
        return {CONTROLLER: CONTROLLER_ADDRESS} | {host.name: host.address for host in self.hosts}

    @property
    def domain(self) -> str:
        """The domain that the hosts' full names are in."""
        return self.hosts[0].full_name.partition(".")[2]

    @property
    def full_names(self) -> Mapping[str, str]:
        """Address by full name, of the hosts and of the controller."""
        return {f"{name}.{self.domain}": address for name, address in self.addresses.items()}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        value = json.loads(text)
        hosts = tuple(PlannedHost(**host) for host in value["hosts"])
        return cls(image=value["image"], inventory=value["inventory"], hosts=hosts)
