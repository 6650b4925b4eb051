"""What a template sees: the fleet, its host, secrets by name, and what the roles of the host add up to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from smtpctl.model.fleet import Fleet, Role, Source
from smtpctl.model.secrets import Secrets
from smtpctl.render.context_policy import PROBE, policy_rules, probe_settings, routing_table
from smtpctl.render.firewall import HEALTH_PORT_OFFSET, rule_lines
from smtpctl.render.roles import Role as LayerRole

#: One and the same string everywhere: Postfix opens a connection for each different one (SMTPD_POLICY_README).
POLICY_SERVICE = (
    "check_policy_service { unix:smtpctl/policy.sock, timeout=10s,"
    " { default_action = 451 4.3.5 policy service unavailable } }"
)


def host_values(fleet: Fleet, secrets: Secrets, host: str, layers: Mapping[str, LayerRole]) -> dict[str, Any]:
    """Values of all templates of one host."""
    this = fleet.hosts[host]
    accept = [rule for role in layers.values() for rule in role.accept]
    connect = [rule for role in layers.values() for rule in role.connect]
    return {
        "fleet": fleet,
        "host": host,
        "this": this,
        "address": this.address,
        "fqdn": fleet.host_name(host),
        "interface": fleet.interface_of(host),
        "roles": [str(role) for role in this.roles],
        "secret": secrets.__getitem__,
        "banner": _banner(fleet),
        "hosts_with": lambda role: fleet.hosts_with(Role(role)),
        "parameters": lambda instance: _parameters(fleet, host, instance),
        "database_role": lambda kind: _database_role(kind, host),
        "health_port": lambda port: port + HEALTH_PORT_OFFSET,
        "policy_service": POLICY_SERVICE,
        "policy_rules": lambda: _json(policy_rules(fleet)),
        "probe_settings": lambda: _json(probe_settings(fleet, secrets, host)),
        "probe_recipient": f"probe@{PROBE}.invalid",
        "routing_table": lambda: _json(routing_table(fleet, host)),
        "transports": lambda pool: _transports(fleet, host, pool),
        "own_addresses": _own_addresses(fleet, host),
        "accepted": rule_lines(fleet, accept, direction="saddr"),
        "connected": rule_lines(fleet, connect, direction="daddr"),
        "shipper_config": lambda: _json(_shipper_config(fleet, host)),
        "feedback_config": lambda: _json(_feedback_config(fleet, host)),
        "policy_database_url": lambda: _database_url(fleet, secrets, _database_role("policy", host)),
        "instances_here": [f"/etc/postfix-{name}" for name in _instances_here(fleet, host)],
        "pool_value": fleet.pools.__getitem__,
        "bracket": _bracket,
    }


def _banner(fleet: Fleet) -> str:
    return f"Rendered by smtpctl from the inventory of fleet {fleet.fleet}. Change it there, then: smtpctl apply"


def _json(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)


def _parameters(fleet: Fleet, host: str, instance: str) -> dict[str, str]:
    """Extra main.cf parameters of an instance: the pool's, then the fleet's, then the host's own on top."""
    pool = fleet.pools.get(instance)
    own = dict(pool.parameters) if pool else {}
    return own | fleet.parameters.get(instance, {}) | fleet.hosts[host].parameters.get(instance, {})


def _bracket(address: str) -> str:
    """An address as it stands before ``:PORT``: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _instances_here(fleet: Fleet, host: str) -> list[str]:
    """Names of the Postfix instances of a host."""
    roles = fleet.hosts[host].roles
    names = [str(role) for role in (Role.SUBMISSION, Role.FEEDBACK) if role in roles]
    return names + list(fleet.pools_of(host) if Role.RELAY in roles else ())


def _database_role(kind: str, host: str) -> str:
    return f"{kind}_{host.replace('-', '_')}"


def _database(fleet: Fleet, role: str) -> dict[str, str]:
    """How a daemon reaches the ledger: the control host by address, its certificate checked by name."""
    control = next(iter(fleet.hosts_with(Role.CONTROL)))
    return {
        "host": fleet.host_name(control),
        "hostaddr": fleet.hosts[control].address,
        "dbname": "smtpctl",
        "user": role,
        "sslmode": "verify-full",
        "ca_file": "/etc/smtpctl/ca.pem",
    }


def _database_url(fleet: Fleet, secrets: Secrets, role: str) -> str:
    place = _database(fleet, role)
    query = f"hostaddr={place['hostaddr']}&sslmode=verify-full&sslrootcert={place['ca_file']}"
    password = quote(secrets[f"database/{role}/password"], safe="")
    return f"postgresql://{role}:{password}@{place['host']}:5432/{place['dbname']}?{query}"


def _providers(fleet: Fleet) -> dict[str, str]:
    """Recipient domain -> provider, as the inventory names them."""
    return {domain: name for name, provider in fleet.providers.items() for domain in provider.domains}


def _shipper_config(fleet: Fleet, host: str) -> dict[str, Any]:
    database = _database(fleet, _database_role("writer", host))
    return {
        "host": host,
        "log": "/var/log/mail.log",
        "metrics": f"{_bracket(fleet.hosts[host].address)}:9171",
        "database": database | {"password_file": "/etc/smtpctl/secrets/ledger-writer"},
        "providers": _providers(fleet),
        "instances": _instances(fleet, host),
        "pools": list(fleet.pools),
        "streams": {name: credential.stream for name, credential in fleet.credentials.items()},
    }


def _feedback_config(fleet: Fleet, host: str) -> dict[str, Any]:
    database = _database(fleet, _database_role("feedback", host))
    return {
        "host": host,
        "listen": "127.0.0.1:10024",
        "metrics": f"{_bracket(fleet.hosts[host].address)}:9172",
        "database": database | {"password_file": "/etc/smtpctl/secrets/feedback-database"},
        "providers": _providers(fleet),
    }


def _own_addresses(fleet: Fleet, host: str) -> list[str]:
    """Source addresses of a host that are not its own address: they have to be put on its interface."""
    this = fleet.hosts[host]
    return [source.address for source in this.sources if source.address != this.address]


def _instances(fleet: Fleet, host: str) -> dict[str, dict[str, Any]]:
    """syslog_name of every Postfix instance of the fleet -> its role, and for a relay's its pool, its stream (where the
    pool has only one) and its source addresses on ``host``, as its transports number them."""
    found: dict[str, dict[str, Any]] = {
        "postfix-submission": {"role": "submission"},
        "postfix-feedback": {"role": "feedback"},
    }
    for pool in fleet.pools:
        streams = [name for name, stream in fleet.streams.items() if stream.pool == pool]
        sources = [source.address for source in fleet.hosts[host].sources if source.pool == pool]
        found[f"postfix-{pool}"] = {"role": "relay", "pool": pool, "sources": sources}
        if len(streams) == 1:
            found[f"postfix-{pool}"]["stream"] = streams[0]
    return found


def _transports(fleet: Fleet, host: str, pool: str) -> list[dict[str, Any]]:
    """SMTP clients of a pool on a host: one a provider and source address, named ``PROVIDER-N``."""
    sources: list[Source] = [source for source in fleet.hosts[host].sources if source.pool == pool]
    return [
        {
            "name": f"{name}-{number}",
            "provider": provider,
            "is_default": name == "default",
            "source": source,
            "bind": "smtp_bind_address6" if ":" in source.address else "smtp_bind_address",
        }
        for name, provider in fleet.all_providers().items()
        for number, source in enumerate(sources, start=1)
    ]
