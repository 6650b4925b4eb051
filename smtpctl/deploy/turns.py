"""A host's turn in a roll-out: what gives way before it changes, and is put back after it, however that ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from smtpctl.deploy.neighbours import Neighbours
from smtpctl.deploy.visit import Visit
from smtpctl.errors import HostError, SmtpctlError
from smtpctl.model.rollouts import Drain, Move, Turn
from smtpctl.plan.rollout import BALANCER_BACKENDS, BALANCER_SOCKET

#: In which sessions that go on may end. Postfix itself ends silent ones after five minutes only.
DRAIN_SECONDS = 30.0

#: In which the address's last sessions may end: new ones are held back for as long, and an application waits.
HOLD_SECONDS = 8.0

#: In which health checks have to succeed (two, a second or two apart), and a server has to be up again.
HEALTH_SECONDS = 20.0

#: After which a balancer sends mail to a drained host again by itself.
LEASE_SECONDS = 600.0

#: What applications connect to at the virtual address.
PORTS = (465, 587)


@contextmanager
def turn_of(visit: Visit, turn: Turn, neighbours: Neighbours) -> Iterator[_Out]:
    """The host out of the way of mail, as far as its turn says; back in it afterwards, whatever happened."""
    for words in turn.alone:
        visit.report("alone", words)
    out = _Out(visit, neighbours)
    try:
        if turn.move:
            _move(visit, turn.move, neighbours)
        for drain in turn.drains:
            out.drain(drain)
        out.wait()
        if turn.queues:
            visit.settle_queues(turn.queues, DRAIN_SECONDS)
        yield out
    except BaseException:
        out.put_back()
        raise
    if down := out.put_back():
        detail = f"{', '.join(down)} after {HEALTH_SECONDS:g} s"
        raise HostError(visit.name, "ready", detail, hint="the change is live; see why it takes no mail")


class _Out:
    """A host that others have stopped sending mail to."""

    def __init__(self, visit: Visit, neighbours: Neighbours) -> None:
        self._visit = visit
        self._neighbours = neighbours
        self._at: list[str] = []

    def drain(self, drain: Drain) -> None:
        """No new sessions from the HAProxy processes of one host. One that cannot be reached is left out, and said so:
        were it down, nothing would come from it; and the last server that is up is never drained."""
        if unreachable := self._neighbours.try_to_reach(drain.at):
            self._visit.report("not drained", f"at {drain.at}: {unreachable}")
            return
        servers = [[server.socket, server.name] for server in drain.servers]
        self._at.append(drain.at)
        try:
            answer = self._neighbours.ask(
                drain.at, "drain", host=self._visit.name, servers=servers, lease=LEASE_SECONDS
            )
        except HostError as error:
            raise HostError(
                self._visit.name,
                "drain",
                f"at {drain.at}: {error.detail}",
                hint="bring the others back first; one that is gone for good belongs out of the inventory",
            ) from error
        self._visit.report("drain", f"{', '.join(answer['servers']) or 'nothing known'} at {drain.at}")

    def wait(self) -> None:
        """Until the sessions that go on have ended, or their time is up."""
        for name in self._at:
            answer = self._neighbours.ask(name, "drained", host=self._visit.name, seconds=DRAIN_SECONDS)
            if answer["left"]:
                self._visit.report("drain", f"{answer['left']} sessions by {name} go on after {DRAIN_SECONDS:g} s")

    def require_healthy(self) -> None:
        """The balancers' own health checks succeed. If not, the host is led back and HostError raised."""
        for name in self._at:
            answer = self._neighbours.ask(name, "checked", host=self._visit.name, seconds=HEALTH_SECONDS)
            if answer["failing"]:
                detail = f"not healthy for {name}: {', '.join(answer['failing'])}"
                done = self._visit.lead_back(detail)
                raise HostError(self._visit.name, "health", f"{detail}\n{done}")

    def put_back(self) -> list[str]:
        """Sessions again, everywhere; where it takes none yet. A HAProxy that cannot be told is left to its timer."""
        down: list[str] = []
        for name in self._at:
            try:
                answer = self._neighbours.ask(name, "ready", host=self._visit.name, seconds=HEALTH_SECONDS)
            except SmtpctlError as error:
                self._visit.report("ready", f"not said at {name}: {error}; it does that by itself")
                continue
            self._visit.report("ready", f"at {name}")
            down += [f"{words} at {name}" for words in answer["down"]]
        self._at = []
        return down


def _move(visit: Visit, move: Move, neighbours: Neighbours) -> None:
    """Give the virtual address to another balancer that would take it now."""
    ready = _ready_balancers(move.to, neighbours)
    if isinstance(ready, str):
        raise HostError(visit.name, "move", f"nobody would take {move.address}: {ready}", hint="mend the other first")
    visit.report("move", f"{move.address} to {ready[0]}")
    try:
        left = visit.give_way(
            "leave",
            address=move.address,
            ports=PORTS,
            socket=BALANCER_SOCKET,
            frontends=BALANCER_BACKENDS,
            seconds=HOLD_SECONDS,
        )["left"]
        if left:
            visit.report("move", f"{left} sessions were cut, which did not end in {HOLD_SECONDS:g} s")
        if not any(neighbours.ask(name, "holds", address=move.address, seconds=HOLD_SECONDS)["here"] for name in ready):
            raise HostError(visit.name, "move", f"{', '.join(ready)} did not take {move.address}")
    finally:
        visit.give_way("let in")


def _ready_balancers(names: Sequence[str], neighbours: Neighbours) -> list[str] | str:
    """Those of ``names`` that would take the address now; or why none would."""
    ready, reasons = [], []
    for name in names:
        if unreachable := neighbours.try_to_reach(name):
            reasons.append(str(unreachable))
            continue
        unready = neighbours.ask(name, "can take", seconds=HEALTH_SECONDS)["unready"]
        if unready:
            reasons.append(f"{name}: {unready}")
        else:
            ready.append(name)
    return ready or "; ".join(reasons)
