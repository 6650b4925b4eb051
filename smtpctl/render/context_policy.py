"""The policy service's two files, compiled from the fleet: who may send what (rules), where it leaves (routing)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from smtpctl.model.fleet import Credential, Fleet, Role, Stream
from smtpctl.model.policy import Limit, RuleSetting
from smtpctl.model.secrets import Secrets

RULES_VERSION = 1
ROUTING_VERSION = 1
#: The credential of the health check; no application may have that name.
PROBE = "smtpctl-probe"

SOURCE = "smtpctl: rendered from the inventory; change it there"


def policy_rules(fleet: Fleet) -> dict[str, Any]:
    """The rules of every submission host: the same on all of them, since they share the quotas."""
    rules: dict[str, Any] = {
        "$comment": SOURCE,
        "version": RULES_VERSION,
        "fleet": fleet.fleet,
        "hosts": list(fleet.hosts_with(Role.SUBMISSION)),
        "providers": {name: provider.domains for name, provider in fleet.providers.items() if provider.domains},
        "streams": {name: _stream(fleet, stream) for name, stream in fleet.streams.items()},
        "credentials": {
            name: _credential(fleet, credential, fleet.limits_of(name))
            for name, credential in fleet.credentials.items()
        }
        | {PROBE: _probe(fleet)},
    }
    if fleet.rules:
        rules["rules"] = {name: _said(setting) for name, setting in fleet.rules.items()}
    if fleet.invalid_recipients:
        rules["invalid_recipients"] = asdict(fleet.invalid_recipients)
    return rules


def _said(setting: RuleSetting) -> dict[str, Any]:
    return {name: value for name, value in asdict(setting).items() if value is not None}


def decides_at_end(fleet: Fleet) -> bool:
    """Whether the policy service has something to say at END-OF-MESSAGE: where bytes are limited."""
    return any(stream.message_size for stream in fleet.streams.values()) or any(
        limit.counted == "bytes" for name in fleet.credentials for limit in fleet.limits_of(name)
    )


def probe_settings(fleet: Fleet, secrets: Secrets, host: str) -> dict[str, Any]:
    """How the health check of a submission host signs in and submits; and what the mail log then has to say."""
    domain = probe_domain(fleet)
    selectors = fleet.domains.sending[domain].dkim
    return {
        "entrance": {
            "address": fleet.hosts[host].address,
            "port": 10587,
            "name": fleet.balancing.name,
            "authority": "/etc/smtpctl/ca.pem",
            "credential": PROBE,
            "password": secrets["probe/password"],
        },
        "sender": f"{PROBE}@{domain}",
        "signatures": [f"(s={selector}, d={domain})" for selector in (selectors.rsa, selectors.ed25519)],
    }


def probe_domain(fleet: Fleet) -> str:
    """The sending domain that probe messages come from."""
    return next(iter(fleet.domains.sending))


def _probe(fleet: Fleet) -> dict[str, Any]:
    """The credential of the health check: one recipient a message, nothing else to lose."""
    domain = probe_domain(fleet)
    return {
        "senders": [domain],
        "reserved": [fleet.domains.sending[domain].bounce],
        "stream": next(iter(fleet.streams)),
        "recipients_per_message": 1,
        "limits": [],
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
            pool: {
                "weights": [source.weight for source in sources if source.pool == pool],
                "addresses": [source.address for source in sources if source.pool == pool],
            }
            for pool in fleet.pools_of(host)
        },
    }


def _credential(fleet: Fleet, credential: Credential, limits: tuple[Limit, ...]) -> dict[str, Any]:
    recipients = credential.recipients_per_message
    domains = {sender.rpartition("@")[2] for sender in credential.senders}
    rules: dict[str, Any] = {
        "senders": credential.senders,
        # A message without From gets one from its rewritten envelope (cleanup(8)): it is to be refused, not sent so.
        "reserved": [domain.bounce for name, domain in fleet.domains.sending.items() if name in domains],
        "stream": credential.stream,
        "recipients_per_message": recipients,
        "limits": [_limit(fleet, credential, limit) for limit in limits],
    }
    if credential.null_sender:
        rules["null_sender"] = True
    if credential.clients:
        rules["clients"] = credential.clients
    if credential.hours:
        rules["hours"] = [asdict(hours) for hours in credential.hours]
    if credential.ramp:
        rules["ramp"] = asdict(credential.ramp)
    return rules


def _limit(fleet: Fleet, credential: Credential, limit: Limit) -> dict[str, Any]:
    key = limit.parts if len(limit.parts) > 1 else limit.key
    burst = limit.burst_for(credential.recipients_per_message, fleet.streams[credential.stream].message_size)
    return asdict(limit) | {"key": key, "burst": burst}


def _stream(fleet: Fleet, stream: Stream) -> dict[str, Any]:
    rules: dict[str, Any] = {"filter": f"{stream.pool}:[127.0.0.1]:{fleet.pools[stream.pool].port}"}
    if stream.message_size:
        rules["message_size"] = stream.message_size
    if stream.header:
        rules["prepend"] = stream.header
    return rules
