"""What each host of a fleet has to find in DNS: by the same records that `smtpctl dns` prints. Pure."""

from __future__ import annotations

import ipaddress

from smtpctl.dns import records_for
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets
from smtpctl.operate.doctor import Expected


def expected_of(fleet: Fleet, secrets: Secrets) -> dict[str, Expected]:
    """By host: the names of all hosts, which every host uses, the sending domains, which the world's name servers have,
    and the reverse names of its source addresses."""
    pointers = {
        record.name.rstrip("."): record.value.rstrip(".")
        for record in records_for(fleet, secrets)
        if record.type == "PTR"
    }
    names = (*(fleet.host_name(name) for name in fleet.hosts), *(f"{domain}." for domain in fleet.domains.sending))
    found = {}
    for name, host in fleet.hosts.items():
        own = dict.fromkeys(source.address for source in host.sources)
        reverse = {
            address: pointers[pointer]
            for address in own
            if (pointer := ipaddress.ip_address(address).reverse_pointer) in pointers
        }
        found[name] = Expected(names, reverse)
    return found
