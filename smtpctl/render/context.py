"""What a template sees: the fleet, its host, secrets by name, and what the roles of the host add up to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from smtpctl.model.fleet import Fleet, Host, Role, Source
from smtpctl.model.secrets import ReadSecrets
from smtpctl.render.context_policy import PROBE, decides_at_end, policy_rules, probe_settings, routing_table
from smtpctl.render.firewall import HEALTH_PORT_OFFSET, rule_lines
from smtpctl.render.roles import Role as LayerRole

#: One and the same string everywhere: Postfix opens a connection for each different one (SMTPD_POLICY_README).
POLICY_SERVICE = (
    "check_policy_service { unix:smtpctl/policy.sock, timeout=10s,"
    " { default_action = 451 4.3.5 policy service unavailable } }"
)


class Common:
    """A fleet, its secrets, and what its hosts have in common: worked out once, however many they are."""

    def __init__(self, fleet: Fleet, secrets: ReadSecrets) -> None:
        self.fleet = fleet
        self.secrets = secrets
        self._by_role: dict[str, Mapping[str, Host]] = {}
        self._addresses: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._servers: dict[str, str] = {}
        self._rules: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def hosts_with(self, role: str) -> Mapping[str, Host]:
        if role not in self._by_role:
            self._by_role[role] = self.fleet.hosts_with(Role(role))
        return self._by_role[role]

    def addresses_with(self, *roles: str) -> tuple[str, ...]:
        """Addresses of the hosts with any of these roles, role after role, in the inventory's order."""
        if roles not in self._addresses:
            found = (host.address for role in roles for host in self.hosts_with(role).values())
            self._addresses[roles] = tuple(dict.fromkeys(found))
        return self._addresses[roles]

    def servers_of(self, pool: str) -> str:
        """HAProxy's lines for the relays of a pool, which are the same on every submission host."""
        if pool not in self._servers:
            hosts, port = self.fleet.hosts, self.fleet.pools[pool].port
            lines = (f"  server {name} {hosts[name].address}:{port}" for name in self.fleet.relays_of(pool))
            self._servers[pool] = "\n".join(lines)
        return self._servers[pool]

    def firewall(self, layers: Mapping[str, LayerRole]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What hosts of these ``layers`` accept, and what they may connect to."""
        key = tuple(layers)
        if key not in self._rules:
            accept = [rule for role in layers.values() for rule in role.accept]
            connect = [rule for role in layers.values() for rule in role.connect]
            self._rules[key] = (
                rule_lines(self.fleet, accept, direction="saddr"),
                rule_lines(self.fleet, connect, direction="daddr"),
            )
        return self._rules[key]

    @cached_property
    def policy_rules(self) -> str:
        return _json(policy_rules(self.fleet))

    @cached_property
    def peers(self) -> str:
        """Name and address of every host."""
        return _json({self.fleet.host_name(name): host.address for name, host in self.fleet.hosts.items()})

    @cached_property
    def trusted(self) -> str:
        """Who is never locked out: the fleet, its operators, and the networks that its credentials are used from.

        A list as the member of an object: on a thousand hosts, writing it anew takes as long as all else.
        """
        fleet = self.fleet
        networks = {"127.0.0.0/8", "::1/128", *fleet.network.management}
        networks |= {this.address for this in fleet.hosts.values()}
        networks |= {source.address for this in fleet.hosts.values() for source in this.sources}
        networks |= {network for credential in fleet.credentials.values() for network in credential.clients}
        virtual = str(fleet.balancing.virtual_address or "").partition("/")[0]
        return _json({"trusted": sorted(map(str, networks | ({virtual} if virtual else set())))})[2:-2]


def host_values(common: Common, host: str, layers: Mapping[str, LayerRole]) -> dict[str, Any]:
    """Values of all templates of one host. Reads no secret: templates do, and are watched when they do."""
    fleet, secrets = common.fleet, common.secrets
    this = fleet.hosts[host]
    accepted, connected = common.firewall(layers)
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
        "hosts_with": common.hosts_with,
        "addresses_with": common.addresses_with,
        "servers_of": common.servers_of,
        "parameters": lambda instance: _parameters(fleet, host, instance),
        "database_role": lambda kind: _database_role(kind, host),
        "health_port": lambda port: port + HEALTH_PORT_OFFSET,
        "policy_service": POLICY_SERVICE,
        "policy_decides_at_end": decides_at_end(fleet),
        "policy_rules": lambda: common.policy_rules,
        "probe_settings": lambda: _json(probe_settings(fleet, secrets, host)),
        "probe_recipient": f"probe@{PROBE}.invalid",
        "routing_table": lambda: _json(routing_table(fleet, host)),
        "transports": lambda pool: _transports(fleet, host, pool),
        "own_addresses": _own_addresses(fleet, host),
        "mail_packages": _mail_packages(layers),
        "accepted": accepted,
        "connected": connected,
        "shipper_config": lambda: _json(_shipper_config(common, host)),
        "pauses_config": lambda: _json(_pauses_config(fleet, host)),
        "trusted": lambda: common.trusted,
        "peers": lambda: common.peers,
        "ledger_config": lambda: _json(_ledger_config(fleet, secrets)),
        "feedback_config": lambda: _json(_feedback_config(common, host)),
        "policy_database_url": lambda: _database_url(common, _database_role("policy", host)),
        "instances_here": [f"/etc/postfix-{name}" for name in _instances_here(fleet, host)],
        "pool_value": fleet.pools.__getitem__,
        "bracket": _bracket,
    }


def _mail_packages(layers: Mapping[str, LayerRole]) -> list[str]:
    """Patterns of the packages whose upgrade restarts what a host carries mail with."""
    return sorted({pattern for role in layers.values() for rule in role.services for pattern in rule.packages})


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


def _database(common: Common, role: str) -> dict[str, str]:
    """How a daemon reaches the ledger: the control host by address, its certificate checked by name."""
    fleet = common.fleet
    control = next(iter(common.hosts_with("control")))
    return {
        "host": fleet.host_name(control),
        "hostaddr": fleet.hosts[control].address,
        "dbname": "smtpctl",
        "user": role,
        "sslmode": "verify-full",
        "ca_file": "/etc/smtpctl/ca.pem",
    }


def _database_url(common: Common, role: str) -> str:
    place = _database(common, role)
    query = f"hostaddr={place['hostaddr']}&sslmode=verify-full&sslrootcert={place['ca_file']}"
    password = quote(common.secrets[f"database/{role}/password"], safe="")
    return f"postgresql://{role}:{password}@{place['host']}:5432/{place['dbname']}?{query}"


def _providers(fleet: Fleet) -> dict[str, str]:
    """Recipient domain -> provider, as the inventory names them."""
    return {domain: name for name, provider in fleet.providers.items() for domain in provider.domains}


def _shipper_config(common: Common, host: str) -> dict[str, Any]:
    fleet = common.fleet
    database = _database(common, _database_role("writer", host))
    return {
        "host": host,
        "log": "/var/log/mail.log",
        "metrics": f"{_bracket(fleet.hosts[host].address)}:9171",
        "database": database | {"password_file": "/etc/smtpctl/secrets/ledger-writer"},
        **_privacy(fleet, "ledger-lookup"),
        "providers": _providers(fleet),
        "instances": _instances(fleet, host),
        "pools": list(fleet.pools),
        "streams": {name: credential.stream for name, credential in fleet.credentials.items()},
    }


def _privacy(fleet: Fleet, daemon: str) -> dict[str, Any]:
    """Where a daemon finds the keys of the ledger's hash; nothing where addresses stay in clear."""
    return {"privacy": {"lookup_keys_file": f"/etc/smtpctl/secrets/{daemon}"}} if fleet.privacy == "on" else {}


def _ledger_config(fleet: Fleet, secrets: ReadSecrets) -> dict[str, Any]:
    """What the control host's own program for the ledger is told."""
    return {
        "database": "host=/var/run/postgresql dbname=smtpctl",
        "keys": "/var/lib/smtpctl-ledger/keys",
        "metrics_file": "/var/lib/smtpctl-ledger/smtpctl_ledger.prom",
        "reading_key": secrets["ledger/reading/public"] if fleet.privacy == "on" else "",
        "retention": {
            "deliveries": fleet.retention.ledger,
            "reports": fleet.retention.reports,
            "samples": fleet.retention.samples,
            "subjects": fleet.retention.ledger,
        },
    }


def _feedback_config(common: Common, host: str) -> dict[str, Any]:
    fleet = common.fleet
    database = _database(common, _database_role("feedback", host))
    return {
        "host": host,
        "listen": "127.0.0.1:10024",
        "metrics": f"{_bracket(fleet.hosts[host].address)}:9172",
        "database": database | {"password_file": "/etc/smtpctl/secrets/feedback-database"},
        **_privacy(fleet, "feedback-lookup"),
        "providers": _providers(fleet),
    }


def _pauses_config(fleet: Fleet, host: str) -> dict[str, Any]:
    return {
        "address": fleet.hosts[host].address,
        "port": 9173,
        "certificate": "/etc/smtpctl/secrets/host.pem",
        "authority": "/etc/smtpctl/ca.pem",
        "peers_file": "/etc/smtpctl/peers.json",
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
