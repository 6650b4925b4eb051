"""The draft itself: one host with all six roles, which is what stands on its own, in the words of the inventory."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smtpctl.operate.adoption import people
from smtpctl.operate.adoption.facts import Instance, Server
from smtpctl.operate.adoption.names import is_domain, name_of
from smtpctl.operate.adoption.report import Draft, Notes
from smtpctl.operate.adoption.ways import Way, providers_of, seconds_of, way_of_sender, ways_of

_PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
ROLES = ["balancer", "submission", "relay", "feedback", "mailbox", "control"]
FIRST_PORT = 10025


@dataclass(frozen=True, slots=True)
class Reached:
    """How the host is reached, and from where."""

    address: str
    user: str
    port: int
    controller: str


def draft_of(server: Server, reached: Reached) -> Draft:
    """An inventory for the host, without parameters: those follow from what rendering it gives."""
    notes = Notes()
    names = _Names(server)
    ways = ways_of(server) or [Way("outgoing", server.primary, (("", server.primary.settled["myhostname"], 1),))]
    domains = people.sending_domains(server, notes)
    sources = list(_sources(server, ways, names, list(domains), notes))
    interface, address, prefix = _own_address(
        server, names.host, [source["address"] for source in sources], reached, notes
    )
    providers, transports = providers_of(server, ways, notes)
    inventory: dict[str, Any] = {
        "version": 1,
        "fleet": name_of(names.infrastructure.split(".")[0], "fleet"),
        "ssh": {"user": reached.user} | ({"port": reached.port} if reached.port != 22 else {}),
        "network": {"management": [_network(reached.controller)], "interface": interface, "prefix": prefix},
        "domains": {
            "infrastructure": names.infrastructure,
            "feedback": f"feedback.{names.infrastructure}",
            "sending": domains,
        },
        "balancing": {"name": names.service},
        "hosts": {names.host: {"address": address, "roles": ROLES, "sources": sources}},
        "streams": {way.pool: {"pool": way.pool} for way in ways},
        "pools": {way.pool: _pool(way, number) for number, way in enumerate(ways)},
        **({"tls": {"minimum": "TLSv1.3"}} if oldest_protocol(server.primary.parameters) == "TLSv1.3" else {}),
        "providers": providers,
        "limits": [{"key": "credential", "counted": "recipients", "count": 10000, "per": "1h"}],
        "credentials": people.credentials(
            server, list(domains), lambda sender: way_of_sender(server, ways, sender).pool, notes
        ),
        "mailboxes": {"postmaster": {"addresses": ["postmaster", "abuse"]}},
    }
    _comment(names, notes)
    _told_beside(server, notes)
    return Draft(inventory, notes, _successors(server, ways), transports)


class _Names:
    """Names of host and service, which nothing else may have."""

    def __init__(self, server: Server) -> None:
        full = server.primary.settled["myhostname"].lower().strip(".")
        label, _, parent = full.partition(".")
        self.infrastructure = parent if is_domain(parent) else people.own_domain(server)
        self.old = full
        self.host = f"{name_of(label, 'host')[:30]}-1".replace("--", "-")
        certified = [name.lower() for one in server.certificates for name in one["names"]]
        taken = {full, *(helo for way in ways_of(server) for _, helo, _ in way.sources)}
        wanted = [*certified, f"smtp.{self.infrastructure}", f"submit.{self.infrastructure}"]
        fits = (name for name in wanted if name.endswith(f".{self.infrastructure}") and is_domain(name))
        self.service = next((name for name in fits if name not in taken), f"applications.{self.infrastructure}")


def _sources(
    server: Server, ways: list[Way], names: _Names, domains: list[str], notes: Notes
) -> Iterator[dict[str, Any]]:
    """Source addresses. One that no transport names is what the kernel takes: the host's first."""
    own = [address for _, address, _ in server.addresses if ":" not in address]
    used: set[str] = {address for way in ways for address, _, _ in way.sources if address}
    helos: set[str] = set()
    for way in ways:
        for number, (bound, helo, weight) in enumerate(way.sources, start=1):
            path = ("hosts", names.host, "sources", helo)
            address = bound or next((one for one in own if one not in used), "") or _unused(used)
            if not bound and address not in own:
                notes.guess(path, f"pool {way.pool} shares its address with another pool today: it needs its own")
            if not _below(helo, [names.infrastructure, *domains]) or helo in helos:
                notes.guess(path, f"said {helo} in EHLO, which is not the fleet's or not this address's alone")
                helo = f"{way.pool}{number}.{names.infrastructure}"
                notes.comments[(*path[:-1], helo)] = notes.comments.pop(path)
            used.add(address)
            helos.add(helo)
            yield {"address": address, "helo": helo, "pool": way.pool} | ({"weight": weight} if weight > 1 else {})


def _own_address(server: Server, host: str, sources: list[str], reached: Reached, notes: Notes) -> tuple[str, str, int]:
    """(interface, address, prefix length) of the host itself, which is never a source address."""
    free = [entry for entry in server.addresses if entry[1] not in sources and ":" not in entry[1]]
    asked = [entry for entry in free if entry[1] == reached.address]
    if free:
        return (asked or free)[0]
    interface, _, prefix = server.addresses[0] if server.addresses else ("eth0", "", 24)
    address = _unused(set(sources))
    why = "the host's only address is a source address, whose reputation stays with it"
    notes.guess(("hosts", host, "address"), f"{why}; it needs one more: this is an example")
    notes.leave("", "the host's own address", address, why, "give the host a second address, and write it here")
    return interface, address, prefix


def _unused(used: set[str]) -> str:
    return next(str(address) for address in ipaddress.ip_network("192.0.2.0/24").hosts() if str(address) not in used)


def _pool(way: Way, number: int) -> dict[str, Any]:
    pool: dict[str, Any] = {"port": FIRST_PORT + number}
    seconds = seconds_of(way.instance.parameters.get("maximal_queue_lifetime", "5d"), "d")
    return pool | ({"queue_lifetime": duration(seconds)} if seconds else {})


def duration(seconds: int) -> str:
    """Seconds as the inventory writes them."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def oldest_protocol(parameters: Mapping[str, str]) -> str:
    """The oldest protocol that a server takes (postconf(5), smtpd_tls_mandatory_protocols); nothing where not said."""
    said = parameters.get("smtpd_tls_mandatory_protocols") or parameters.get("smtpd_tls_protocols") or ""
    words = re.split(r"[,:\s]+", said.strip())
    floor = next((word.removeprefix(">=") for word in words if word.startswith(">=")), "")
    named = [word for word in words if word in _PROTOCOLS]
    for protocol in _PROTOCOLS[_PROTOCOLS.index(floor) if floor in _PROTOCOLS else 0 :] if said else ():
        if f"!{protocol}" not in words and (not named or protocol in named):
            return protocol
    return ""


def _comment(names: _Names, notes: Notes) -> None:
    notes.guess(("network", "management"), "the machine that asked; name the networks of those who administer it")
    notes.guess(("domains", "infrastructure"), f"what stands behind the first dot of myhostname, {names.old}")
    notes.guess(("domains", "feedback"), "new; reports and feedback loops come there")
    notes.guess(("balancing", "name"), "applications submit to this name, ports 587 and 465")
    notes.guess(("hosts", names.host), f"a new name: {names.old} stays what an address says in EHLO")
    notes.guess(("hosts", names.host, "roles"), "all six, so that the draft stands alone; put some on other hosts")
    notes.guess(("limits",), "no such limit today")
    notes.guess(("mailboxes",), "every domain needs these two (RFC 2142)")


def _told_beside(server: Server, notes: Notes) -> None:
    """What no parameter says: messages that wait, tables that were not read, aliases, what does not run."""
    for folder in server.idle:
        why = "it does not run, or nothing in /etc/postfix names it"
        notes.leave(
            "", "folder of an instance", folder, why, "where it does run, name it: postmulti -i, then adopt again"
        )
    for instance in server.instances:
        if instance.waiting:
            why = "the new instances begin with empty queues"
            remedy = "let it deliver before the apply: stop what submits, then postqueue -f until it is empty"
            notes.leave(instance.directory, "messages that wait", str(instance.waiting), why, remedy)
        for parameter, tables in instance.tables.items():
            for table in tables:
                if table.unread:
                    notes.leave(instance.directory, parameter, table.table, table.unread, "look at it by hand")
        for name in instance.unused:
            notes.leave(instance.directory, name, "", "it means nothing to Postfix either", "misspelt? look at it")
        aliases = [key for key, _ in instance.rows("alias_maps")]
        others = [key for key in aliases if key not in ("postmaster", "abuse", "root", "mailer-daemon")]
        if others:
            why = "a fleet has mailboxes of its own people only"
            notes.leave(instance.directory, "aliases", f"{len(others)} names", why, "mailboxes, or another server")


def _successors(server: Server, ways: list[Way]) -> dict[str, tuple[str, ...]]:
    takes = [instance for instance in server.instances if _takes_mail(instance)] or [server.primary]
    return {
        instance.directory: (
            *(["submission"] if instance in takes else []),
            *(way.pool for way in ways if way.instance is instance),
        )
        for instance in server.instances
    }


def _takes_mail(instance: Instance) -> bool:
    """Whether others than the host itself hand mail to it."""
    listening = [name for name, kind, _, command in instance.services if (kind, command) == ("inet", "smtpd")]
    if instance.parameters.get("inet_interfaces") in ("loopback-only", "localhost", "127.0.0.1"):
        return False
    return any(not name.startswith(("127.", "localhost:", "[::1]")) for name in listening)


def _below(name: str, domains: list[str]) -> bool:
    return any(name.endswith(f".{domain}") or name == domain for domain in domains)


def _network(address: str) -> str:
    return str(ipaddress.ip_network(address))
