"""The policy service's two files, compiled from the fleet: who may send what (rules), where it leaves (routing)."""

from __future__ import annotations

from typing import Any

from smtpctl.model.fleet import Credential, Fleet, Limit, Role

RULES_VERSION = 1
ROUTING_VERSION = 1
SOURCE = "smtpctl: rendered from the inventory; change it there"


def policy_rules(fleet: Fleet) -> dict[str, Any]:
    """The rules of every submission host: the same on all of them, since they share the quotas."""
    return {
        "$comment": SOURCE,
        "version": RULES_VERSION,
        "fleet": fleet.fleet,
        "hosts": list(fleet.hosts_with(Role.SUBMISSION)),
        "streams": {
            name: {"filter": f"{stream.pool}:[127.0.0.1]:{fleet.pools[stream.pool].port}"}
            for name, stream in fleet.streams.items()
        },
        "credentials": {
            name: _credential(fleet, credential, fleet.limits_of(name))
            for name, credential in fleet.credentials.items()
        },
    }


def routing_table(fleet: Fleet, host: str) -> dict[str, Any]:
    """The routing of one relay host: providers by domain, and the weights of its source addresses by pool."""
    sources = fleet.hosts[host].sources
    return {
        "$comment": SOURCE,
        "version": ROUTING_VERSION,
        "default": "default",
        "providers": {
            name: {"domains": provider.domains, "mx": provider.mx}
            for name, provider in fleet.providers.items()
            if name != "default"
        },
        "pools": {
            pool: {"weights": [source.weight for source in sources if source.pool == pool]}
            for pool in fleet.pools_of(host)
        },
    }


def _credential(fleet: Fleet, credential: Credential, limits: tuple[Limit, ...]) -> dict[str, Any]:
    recipients = credential.recipients_per_message
    return {
        "senders": credential.senders,
        # A message without From gets one from its rewritten envelope (cleanup(8)): it is to be refused, not sent so.
        "reserved": [domain.bounce for name, domain in fleet.domains.sending.items() if name in credential.senders],
        "stream": credential.stream,
        "recipients_per_message": recipients,
        "limits": [limit.model_dump() | {"burst": limit.burst_for(recipients)} for limit in limits],
    }
