"""Which messages of the fleet are meant, said in the fleet's words; and what that is to each Postfix instance. Pure.

A stream is its pool on a relay, and the credentials that belong to it on a submission host. A sender is rewritten
before it reaches a relay (``bounce+LOCAL@BOUNCE-DOMAIN``), so both forms are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smtpctl.errors import UsageError
from smtpctl.model.fleet import Fleet, Role

SUBMISSION = str(Role.SUBMISSION)

#: Queue ids by host and instance, as the ledger gives them.
Journeyed = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A selection over the whole fleet; a member that is empty does not narrow it."""

    ids: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    older: int | None = None
    younger: int | None = None
    larger: int | None = None
    smaller: int | None = None
    #: Where the ledger knows messages of ``credentials`` on relays, whose queue files do not say.
    journeyed: Journeyed = field(default_factory=dict)

    @property
    def everything(self) -> bool:
        """Whether nothing narrows it: the whole queues of the hosts that are asked."""
        return self == Wanted()


def check(wanted: Wanted, fleet: Fleet) -> None:
    """Raise UsageError for a name that the inventory does not have."""
    for noun, names, known in (
        ("credential", wanted.credentials, fleet.credentials),
        ("stream", wanted.streams, fleet.streams),
        ("pool", wanted.pools, fleet.pools),
        ("provider", wanted.providers, fleet.all_providers()),
    ):
        for name in names:
            if name not in known:
                raise UsageError(f"there is no {noun} {name!r}", hint=f"{noun}s: {', '.join(known)}")


def request(wanted: Wanted, fleet: Fleet, host: str, *, lines: bool, by: str = "") -> dict[str, Any]:
    """What the agent of ``host`` is asked: a selection for each instance, null where nothing can be meant."""
    base = _base(wanted, fleet)
    instances: dict[str, dict[str, Any] | None] = {
        pool: _on_relay(wanted, fleet, host, pool, base) for pool in fleet.pools
    }
    instances[SUBMISSION] = _on_submission(wanted, fleet, base)
    others = None if wanted.credentials or wanted.streams or wanted.pools else base
    return {
        "do": "queue-select",
        "instances": instances,
        "others": others,
        "providers": {domain: name for name, provider in fleet.providers.items() for domain in provider.domains},
        "default_provider": "default",
        "lines": lines,
        "by": by,
    }


def _base(wanted: Wanted, fleet: Fleet) -> dict[str, Any]:
    """The members that mean the same in every instance."""
    members: dict[str, Any] = {
        "ids": list(wanted.ids),
        "queue": list(wanted.queues),
        "address": list(wanted.addresses),
        "domain": list(wanted.domains),
        "sender": [form for sender in wanted.senders for form in sender_forms(fleet, sender)],
        "provider": list(wanted.providers),
        "reply": list(wanted.replies),
        "header": [list(pair) for pair in wanted.headers],
        "older": wanted.older,
        "younger": wanted.younger,
        "larger": wanted.larger,
        "smaller": wanted.smaller,
    }
    return {name: value for name, value in members.items() if value not in ([], None)}


def _on_submission(wanted: Wanted, fleet: Fleet, base: dict[str, Any]) -> dict[str, Any] | None:
    if not (wanted.credentials or wanted.streams or wanted.pools):
        return base
    meant = [
        name
        for name, credential in fleet.credentials.items()
        if (not wanted.credentials or name in wanted.credentials)
        and (not wanted.streams or credential.stream in wanted.streams)
        and (not wanted.pools or fleet.streams[credential.stream].pool in wanted.pools)
    ]
    return {**base, "credential": meant} if meant else None


def _on_relay(wanted: Wanted, fleet: Fleet, host: str, pool: str, base: dict[str, Any]) -> dict[str, Any] | None:
    if wanted.pools and pool not in wanted.pools:
        return None
    if wanted.streams and not any(fleet.streams[name].pool == pool for name in wanted.streams):
        return None
    if not wanted.credentials:
        return base
    ids = list(wanted.journeyed.get(host, {}).get(pool, ()))
    if wanted.ids:
        ids = [identity for identity in ids if identity in wanted.ids]
    return {**base, "ids": ids} if ids else None


def sender_forms(fleet: Fleet, sender: str) -> tuple[str, ...]:
    """A sender, or @DOMAIN, as it was submitted, and as relays see it (templates/submission, bounce_senders)."""
    local, _, domain = sender.lower().rpartition("@")
    rewritten = fleet.domains.sending.get(domain)
    if rewritten is None:
        return (sender.lower(),)
    return (sender.lower(), f"bounce+{local}@{rewritten.bounce}" if local else f"@{rewritten.bounce}")
