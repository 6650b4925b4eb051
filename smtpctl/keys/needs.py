"""Which secrets a fleet needs, by name: pure. The names are those of `smtpctl.model.secrets`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from smtpctl.model.fleet import Fleet, Role

#: What `needed_names` derives from another value of the same group, and from which.
DERIVED_FROM = {"public": "private", "scram": "password", "verifier": "password"}

#: What a private ledger takes: keys of its hash, the pair that reads, the pair that signs receipts.
LEDGER_NAMES = (
    "ledger/lookup/keys",
    "ledger/reading/private",
    "ledger/reading/public",
    "ledger/receipts/private",
    "ledger/receipts/public",
)


@dataclass(frozen=True, slots=True)
class DkimKey:
    """One key pair of a sending domain, known in DNS by its selector."""

    domain: str
    selector: str
    algorithm: Literal["rsa", "ed25519"]

    @property
    def name(self) -> str:
        """Head of the names of its two halves."""
        return f"dkim/{self.domain}/{self.selector}"


def dkim_keys(fleet: Fleet) -> Iterator[DkimKey]:
    """The two key pairs of every sending domain."""
    for domain, sending in fleet.domains.sending.items():
        yield DkimKey(domain, sending.dkim.rsa, "rsa")
        yield DkimKey(domain, sending.dkim.ed25519, "ed25519")


def certificate_names(fleet: Fleet, host: str) -> tuple[str, ...]:
    """Every DNS name and address that clients reach ``host`` by, its own name first."""
    names = [fleet.host_name(host), fleet.hosts[host].address, "localhost", "127.0.0.1"]
    if {Role.BALANCER, Role.SUBMISSION} & set(fleet.hosts[host].roles):
        names.append(fleet.balancing.name)
    names += [source.helo for source in fleet.hosts[host].sources]
    return tuple(dict.fromkeys(names))


def account_groups(fleet: Fleet) -> tuple[str, ...]:
    """Heads of the names of everyone who signs in by SASL: applications, owners of mailboxes, and the health check."""
    credentials = [f"credentials/{name}" for name in fleet.credentials]
    return (*credentials, *(f"mailboxes/{name}" for name in fleet.mailboxes), "probe")


def database_roles(fleet: Fleet) -> tuple[str, ...]:
    """Login roles of PostgreSQL: one a host and job, so that a lost host is shut out alone, and two for people."""
    roles = [f"writer_{_word(host)}" for host in fleet.hosts]
    roles += [
        f"policy_{_word(name)}" for name, host in fleet.hosts.items() if {Role.SUBMISSION, Role.RELAY} & set(host.roles)
    ]
    roles += [f"feedback_{_word(host)}" for host in fleet.hosts_with(Role.FEEDBACK)]
    return (*roles, "reader", "operator")


def needed_names(fleet: Fleet) -> tuple[str, ...]:
    """The name of every secret that the fleet needs."""
    names = [f"{key.name}/{half}" for key in dkim_keys(fleet) for half in ("private", "public")]
    names += [f"tls/{owner}/{part}" for owner in ("ca", *fleet.hosts) for part in ("certificate", "key")]
    names += [f"{account}/{form}" for account in account_groups(fleet) for form in ("password", "scram")]
    names += list(LEDGER_NAMES)
    names += [f"database/{role}/{form}" for role in database_roles(fleet) for form in ("password", "verifier")]
    return tuple(names)


def _word(host: str) -> str:
    """A host's name as part of a role's name, which SQL then needs no quotes for. Host names have no '_'."""
    return host.replace("-", "_")
