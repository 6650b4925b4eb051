"""Emptying a relay that has to go: nothing new comes in, and what waits moves to its pools' other relays. Edge."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from smtpctl.errors import HostError, UsageError
from smtpctl.model.fleet import Fleet, Role
from smtpctl.operate.queues import FleetQueues, Selected
from smtpctl.operate.visits import Visits
from smtpctl.operate.wanted import Wanted

#: Admin socket of the HAProxy that stands before the relays on a submission host (templates/submission).
ADMIN_SOCKET = "/run/haproxy-submission/admin.sock"

#: Seconds between two looks, and without any message less after which something is wrong. Looks at a long queue take
#: time of the host that is to hand it on: they are further apart, so that they take a small share of it.
LOOK = 2.0
SHARE = 0.2
STUCK = 180.0

#: Told what goes on: messages that are left, and sessions that still bring some.
OnLook = Callable[[int, int], None]


def next_hops(fleet: Fleet, host: str, away: set[str]) -> dict[str, list[str]]:
    """By pool of ``host``, the other relays that take its mail; not those in ``away``. Raise UsageError for none."""
    if host not in fleet.hosts_with(Role.RELAY):
        raise UsageError(
            f"{host} is no relay: no other host takes over what waits there",
            hint="a submission host empties itself once the balancers leave it; a feedback host's senders try again",
        )
    hops: dict[str, list[str]] = {}
    for pool in fleet.pools_of(host):
        others = [name for name in fleet.relays_of(pool) if name != host and name not in away]
        if not others:
            raise UsageError(
                f"no other relay carries pool {pool}", hint="give another relay a source address of it, and apply"
            )
        port = fleet.pools[pool].port
        hops[pool] = [f"[{_address(fleet.hosts[name].address)}]:{port}" for name in others]
    return hops


class Drain:
    """One relay that is being emptied. Every step may be done again: an interrupted drain is begun anew."""

    def __init__(self, fleet: Fleet, visits: Visits, host: str) -> None:
        self._fleet = fleet
        self._visits = visits
        self._host = host

    def begin(self) -> None:
        """Stop intake, and hand over. Raise UsageError when nobody could take the mail."""
        relays = self._fleet.hosts_with(Role.RELAY)
        away = {name for name in relays if name not in self._visits.hosts}
        request = {"do": "hand-over", "pools": None}
        away |= {name for name in relays if name not in away and self._visits.hosts[name].ask(request).header["pools"]}
        hops = next_hops(self._fleet, self._host, away - {self._host})
        self.intake("drain")
        self._visits.hosts[self._host].ask({"do": "hand-over", "pools": hops})

    def empty(self, on_look: OnLook) -> Selected:
        """Wait until nothing is left but what is on hold; that. Raise HostError when it stops getting less."""
        least, since = None, time.monotonic()
        while True:
            began = time.monotonic()
            sizes = self._sizes()
            took = time.monotonic() - began
            moving, sessions = sum(sizes.values()) - sizes["hold"], self.intake("drain")
            # Counting files misses one that moves from queue to queue meanwhile: a second look, another way.
            if not moving and not sessions and not _moving(left := self.left()):
                return left
            on_look(moving, sessions)
            if least is None or moving < least:
                least, since = moving, time.monotonic()
            if time.monotonic() - since > STUCK:
                raise HostError(
                    self._host,
                    "drain",
                    f"{moving} messages have not moved for {STUCK:.0f} s",
                    hint=f"smtpctl queue top --by reply --host {self._host} says why; then drain again",
                )
            time.sleep(max(LOOK, took / SHARE))
            if not sizes["incoming"] + sizes["active"]:
                self._visits.hosts[self._host].ask({"do": "queue-flush", "instances": list(self._pools())})

    def left(self) -> Selected:
        """What waits in the pools of the host."""
        found = FleetQueues(self._fleet, self._visits).select(Wanted(pools=self._pools()), hosts=(self._host,))
        return Selected([count for count in found.counts if count.instance in self._pools()])

    def _sizes(self) -> Counter[str]:
        """How many messages are left, by queue."""
        found: Counter[str] = Counter()
        request = {"do": "queue-sizes", "instances": list(self._pools())}
        for queues in self._visits.hosts[self._host].ask(request).header["sizes"].values():
            found.update({queue: size["messages"] for queue, size in queues.items()})
        return found

    def end(self) -> None:
        """Let the host take mail, and deliver it itself, as before."""
        self._visits.hosts[self._host].ask({"do": "hand-over", "pools": {}})
        self.intake("ready")

    def intake(self, state: str) -> int:
        """Take the host out of every submission host's HAProxy, or in again; the sessions that go on. Said again at
        every look: HAProxy forgets it at a reload, as an apply may ask for one meanwhile."""
        submission = self._fleet.hosts_with(Role.SUBMISSION)
        request = {"do": "intake", "socket": ADMIN_SOCKET, "server": self._host, "state": state}
        asked = {name: host for name, host in self._visits.hosts.items() if name in submission}
        return sum(host.ask(request).header["sessions"] for host in asked.values())

    def _pools(self) -> tuple[str, ...]:
        return self._fleet.pools_of(self._host)


def _moving(selected: Selected) -> int:
    return sum(count.messages for count in selected.counts if count.queue != "hold")


def _address(address: str) -> str:
    """An IPv6 address as it stands in a next hop (postconf(5), relayhost)."""
    return f"ipv6:{address}" if ":" in address else address
