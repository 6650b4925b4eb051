"""The name server of the lab: its zone file, written here and signed there, and a resolver that asks it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.resolver

from smtpctl.dns import Record, records_for
from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab.addresses import INTERNET_ADDRESS
from smtpctl.lab.internet.authority import provider_certificates
from smtpctl.lab.internet.zone import root_zone
from smtpctl.lab.plan import Plan
from smtpctl.lab.state import StateFolder

#: Makes the name server read its zone file again and wait until the zone is signed and served.
RELOAD = ("knotc", "--blocking", "zone-reload", ".")


def fleet_records(inventory: Path) -> Sequence[Record]:
    """What `smtpctl dns records` prints for ``inventory``. Raise SecretsError when its keys are not made yet."""
    return records_for(load_fleet(inventory), read_secrets(inventory))


def write_zone(state: StateFolder, plan: Plan, records: Sequence[Record]) -> None:
    """Put the zone file in place: the hosts of ``plan``, the providers, and the fleet's ``records``."""
    state.zones.mkdir(exist_ok=True)
    file = state.zones / "root.zone"
    new = file.with_suffix(".new")
    new.write_text(root_zone(plan.full_names, provider_certificates(state), records))
    new.chmod(0o644)
    new.replace(file)


def resolver() -> dns.resolver.Resolver:
    """A resolver that asks the lab's name server and nobody else. Use it inside the lab's network."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [INTERNET_ADDRESS]
    resolver.lifetime = 5.0
    return resolver


def answers(deadline: float) -> bool:
    """Whether the name server serves its zone before the monotonic time ``deadline``."""
    query = dns.message.make_query(".", "SOA", want_dnssec=True)
    while time.monotonic() < deadline:
        try:
            reply = dns.query.udp(query, INTERNET_ADDRESS, timeout=0.5)
            if reply.rcode() == dns.rcode.NOERROR and reply.answer:
                return True
        except (dns.exception.DNSException, OSError):
            # not there yet, which is what this waits for
            time.sleep(0.05)
    return False
