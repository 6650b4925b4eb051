"""How mail leaves a host: each way out is a pool with its source addresses, and limits by provider."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from smtpctl.operate.adoption.facts import Instance, Server
from smtpctl.operate.adoption.names import free_name, is_domain
from smtpctl.operate.adoption.report import Notes

#: What to do about mail that has to go elsewhere than its recipient's MX.
OWN_TABLE = "an overlay template can give relay's main.cf a table of its own before the routing"

#: A next hop on this very host: another instance, or a filter.
_HERE = re.compile(r"\[?(127\.[0-9.]+|localhost|::1)\]?(:[0-9a-z]+)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Way:
    """A pool: the instance that it was, and (address or nothing, HELO name) of each of its transports, by weight."""

    pool: str
    instance: Instance
    sources: tuple[tuple[str, str, int], ...]


def ways_of(server: Server) -> list[Way]:
    """Every way out, the one that most mail would take first."""
    found: dict[str, Way] = {}
    for instance in server.instances:
        for name, transports in _pools(instance):
            pool = free_name(name, f"outgoing{len(found) + 1}" if "outgoing" in found else "outgoing")
            found.setdefault(pool, Way(pool, instance, tuple(_source(instance, *one) for one in transports.items())))
    return list(found.values())


def goes_elsewhere(parameter: str, value: str) -> bool:
    """Whether ``relayhost`` or ``default_transport`` leads to another host than the recipient's own."""
    hop = value if parameter == "relayhost" else "" if value.startswith("randmap:") else value.partition(":")[2]
    return bool(hop) and not _HERE.fullmatch(hop) and not value.startswith(("error", "retry", "discard"))


def way_of_sender(server: Server, ways: list[Way], sender: str) -> Way:
    """The way that mail of a sender (an address, @domain or domain) takes."""
    domain = sender.rpartition("@")[2]
    for instance in server.instances:
        for key, value in instance.rows("sender_dependent_default_transport_maps"):
            if key in (sender, f"@{domain}", domain):
                return _way_to(instance, ways, value) or ways[0]
    return _way_to(server.primary, ways, server.primary.parameters.get("default_transport", "")) or ways[0]


def _way_to(instance: Instance, ways: list[Way], transport: str) -> Way | None:
    """The way behind ``transport:nexthop``: an instance that listens there, or a transport with an address."""
    service, _, hop = transport.partition(":")
    port = hop.rpartition(":")[2]
    for way in ways:
        listens = any(kind == "inet" and name.rpartition(":")[2] == port for name, kind, *_ in way.instance.services)
        if port and way.instance is not instance and _HERE.fullmatch(hop) and listens:
            return way
        if not hop and way.pool == free_name(service, ""):
            return way
    return None


def _pools(instance: Instance) -> Iterator[tuple[str, dict[str, int]]]:
    """(name, transports by weight) of each way out of an instance to the world."""
    usual = instance.parameters.get("default_transport", "smtp")
    hop = usual.partition(":")[2] if not usual.startswith("randmap:") else ""
    relay = instance.parameters.get("relayhost", "")
    if not _HERE.fullmatch(relay or hop) and not usual.startswith(("error", "retry", "discard")):
        yield instance.name, _transports(usual)
    for _, value in instance.rows("sender_dependent_default_transport_maps"):
        service, _, hop = value.partition(":")
        if not hop and service not in ("", "smtp", "relay"):
            yield service, {service: 1}


def _transports(value: str) -> dict[str, int]:
    inner = re.fullmatch(r"randmap:\{(.*)\}", value)
    names = re.split(r"[,\s]+", inner[1].strip()) if inner else [value]
    return dict(Counter(name.partition(":")[0] or "smtp" for name in names if name))


def _source(instance: Instance, service: str, weight: int) -> tuple[str, str, int]:
    address = instance.override(service, "smtp_bind_address") or instance.override(service, "smtp_bind_address6") or ""
    helo = instance.override(service, "smtp_helo_name") or instance.settled["myhostname"]
    return address, helo.lower(), weight


def seconds_of(text: str, unit: str) -> int | None:
    """A time of postconf(5) in seconds; None where it is something else."""
    match = re.fullmatch(r"(\d+)([smhdw]?)", text)
    return int(match[1]) * _UNITS[match[2] or unit] if match else None


def providers_of(server: Server, ways: list[Way], notes: Notes) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """Limits by provider, from transport tables and the limits of their transports; and each transport's name."""
    found: dict[str, Any] = {}
    names: dict[tuple[str, str], str] = {}
    sending = {way.instance.directory for way in ways}
    for instance in server.instances:
        for key, value in instance.rows("transport_maps"):
            service, _, hop = value.partition(":")
            domain = key.lstrip(".").lower()
            here = next((name for name, provider in found.items() if domain in provider["domains"]), "")
            fits = instance.directory in sending and not hop and is_domain(domain) and _is_smtp(instance, service)
            if not fits or (here and here != names.get((instance.directory, service))):
                why = "every pool delivers to where the MX points, and a domain belongs to one provider"
                notes.leave(instance.directory, f"transport_maps: {key}", value, why, OWN_TABLE)
                continue
            name = names.setdefault((instance.directory, service), _unused_name(service, found))
            provider = found.setdefault(name, {"domains": [], **_limits(instance, service)})
            if not here:
                provider["domains"].append(domain)
    found["default"] = _limits(ways[0].instance, "default", sorted({_tls(way.instance, notes) for way in ways})[0])
    return found, names


def _unused_name(service: str, taken: Collection[str]) -> str:
    name = free_name(service, "provider")
    return next(one for one in chain([name], (f"{name}{number}" for number in count(2))) if one not in taken)


def _is_smtp(instance: Instance, service: str) -> bool:
    return any((name, kind, command) == (service, "unix", "smtp") for name, kind, _, command in instance.services)


def _limits(instance: Instance, service: str, tls: str = "") -> dict[str, Any]:
    """What one destination gets at once, as the transport (or all, with ``default``) has it."""

    def number(parameter: str, otherwise: int, most: int) -> int:
        usual = instance.parameters.get(f"smtp_{parameter}") if service == "default" else None
        said = (
            instance.parameters.get(f"{service}_{parameter}")
            or usual
            or instance.parameters.get(f"default_{parameter}")
        )
        return min(int(said), most) if said and said.isdigit() and int(said) else otherwise

    processes = [limit for name, kind, limit, _ in instance.services if (name, kind) == (service, "unix")]
    connections = number("destination_concurrency_limit", 20, 500)
    if processes and processes[0].isdigit() and int(processes[0]):
        connections = min(connections, int(processes[0]))
    limits: dict[str, Any] = {
        "connections": connections,
        "recipients_per_message": number("destination_recipient_limit", 50, 1000),
        "tls": tls or _tls(instance, Notes(), service),
    }
    delay = seconds_of(instance.parameters.get(f"{service}_destination_rate_delay", "0s"), "s")
    return limits | ({"delay": delay} if delay else {})


def _tls(instance: Instance, notes: Notes, service: str = "") -> str:
    level = instance.override(service, "smtp_tls_security_level") or ""
    if level in ("may", "dane", "encrypt"):
        return level
    if level:
        why = "providers are sent to opportunistically, by DANE, or encrypted"
        remedy = "tls of providers.default, or parameters in an overlay template"
        notes.leave(instance.directory, "smtp_tls_security_level", level, why, remedy)
    return "encrypt" if level in ("verify", "secure", "dane-only", "fingerprint") else "may"
