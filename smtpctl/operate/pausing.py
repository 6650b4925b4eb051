"""Pauses in the fleet's words: what each kind means to policy service, From check, routing and queues. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from smtpctl.errors import UsageError
from smtpctl.model.fleet import Fleet
from smtpctl.operate.wanted import SUBMISSION, sender_forms
from smtpctl.transport.agent.pauses import Record, in_force

ALL = "all-outbound"

#: What can be paused besides everything, and what its value is.
KINDS = ("credential", "stream", "pool", "provider", "source", "sender-domain", "campaign", "client")

#: Who is locked out by the firewall, by hand or by smtpctl-guard.
CLIENT = "client"

#: Mail to a provider, or from an address, is chosen on the relay, long after it was accepted.
WAIT_ONLY = ("provider", "source")


@dataclass(frozen=True, slots=True)
class Pressed:
    """What somebody asks for."""

    kind: str
    value: str
    refuse: bool
    who: str
    why: str
    #: Seconds since the epoch; ``until`` is when it ends by itself.
    since: float
    until: float | None = None


def record_of(pressed: Pressed, fleet: Fleet, identity: str) -> Record:
    """The record that every host gets. Raise UsageError where the inventory does not have what is to be paused."""
    if pressed.refuse and pressed.kind in WAIT_ONLY:
        raise UsageError(
            f"mail of a {pressed.kind} can only wait: it was accepted long before its way out is chosen",
            hint="leave --refuse out, or refuse a credential, stream, pool, sender domain or campaign",
        )
    scope, queued = _SCOPES[pressed.kind](fleet, pressed.value)
    return {
        "id": identity,
        "kind": pressed.kind,
        "value": pressed.value,
        "action": "refuse" if pressed.refuse or pressed.kind == CLIENT else "wait",
        "who": pressed.who,
        "why": pressed.why,
        "since": pressed.since,
        "until": pressed.until,
        "ended": None,
        "scope": scope,
        "queued": queued,
    }


def ended(record: Record, now: float, who: str) -> Record:
    """The record of a pause that somebody ends."""
    return {**record, "ended": now, "ended_by": who}


def current(records: Iterable[Record], now: float) -> list[Record]:
    """The pauses that are in force, each once, by their beginning."""
    found = {record["id"]: record for record in records if in_force(record, now)}
    return sorted(found.values(), key=lambda record: (record["since"], record["id"]))


def words(record: Record) -> str:
    """What is paused."""
    return "all outbound mail" if record["kind"] == ALL else f"{record['kind']} {record['value']}"


Scope = tuple[dict[str, Any], dict[str, Any]]


def _known(noun: str, value: str, known: Iterable[str]) -> None:
    names = list(known)
    if value not in names:
        raise UsageError(f"there is no {noun} {value!r}", hint=f"{noun}s: {', '.join(names)}")


def _everything(fleet: Fleet, value: str) -> Scope:
    return {"everything": True}, {}


def _credential(fleet: Fleet, value: str) -> Scope:
    _known("credential", value, fleet.credentials)
    return {"credentials": [value]}, {SUBMISSION: {"credential": [value]}}


def _stream(fleet: Fleet, value: str) -> Scope:
    """A stream that has its pool to itself waits there; one that shares it waits where it is submitted."""
    _known("stream", value, fleet.streams)
    pool = fleet.streams[value].pool
    if [name for name, stream in fleet.streams.items() if stream.pool == pool] == [value]:
        return {"pools": [pool]}, {}
    credentials = [name for name, credential in fleet.credentials.items() if credential.stream == value]
    return {"streams": [value]}, {SUBMISSION: {"credential": credentials}} if credentials else {}


def _pool(fleet: Fleet, value: str) -> Scope:
    _known("pool", value, fleet.pools)
    return {"pools": [value]}, {}


def _provider(fleet: Fleet, value: str) -> Scope:
    _known("provider", value, fleet.all_providers())
    return {"providers": [value]}, {}


def _source(fleet: Fleet, value: str) -> Scope:
    _known("source address", value, (source.address for host in fleet.hosts.values() for source in host.sources))
    return {"sources": [value]}, {}


def _sender_domain(fleet: Fleet, value: str) -> Scope:
    domain = value.lower().removeprefix("@")
    forms = list(sender_forms(fleet, f"@{domain}"))
    return {"senders": forms}, {"*": {"sender": forms}}


def _campaign(fleet: Fleet, value: str) -> Scope:
    name, colon, content = value.partition(":")
    if not colon or not name.strip() or not content.strip():
        raise UsageError(f"{value!r} is not a header", hint="write 'Name: value', such as 'X-Campaign: spring'")
    pair = [name.strip(), content.strip()]
    return {"headers": [pair]}, {"*": {"header": [pair]}}


def _client(fleet: Fleet, value: str) -> Scope:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise UsageError(f"{value!r} is no address", hint="smtpctl pause client 192.0.2.9") from None
    hosts = fleet.hosts.values()
    ours = [*fleet.network.management, *(host.address for host in hosts)]
    ours += [source.address for host in hosts for source in host.sources]
    if any(address in ipaddress.ip_network(network) for network in ours):
        raise UsageError(f"{value} is the fleet's own or its operators' address")
    return {"clients": [str(address)]}, {}


_SCOPES = {
    CLIENT: _client,
    ALL: _everything,
    "credential": _credential,
    "stream": _stream,
    "pool": _pool,
    "provider": _provider,
    "source": _source,
    "sender-domain": _sender_domain,
    "campaign": _campaign,
}
