"""How a run goes over a fleet: which hosts follow each other, and what has to give way before each. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from smtpctl.model.frozen import Frozen


class Server(Frozen):
    """One server of one HAProxy: the HAProxy by its admin socket, the server as ``BACKEND/SERVER``."""

    socket: str
    name: str


class Drain(Frozen):
    """Servers that get no new sessions from the HAProxy processes of the host ``at``."""

    at: str
    servers: tuple[Server, ...]


class Move(Frozen):
    """The virtual address, which the host gives to one of ``to`` before its balancer restarts."""

    address: str
    to: tuple[str, ...]


class Turn(Frozen):
    """What happens around the change of one host: before it in this order, and after it undone.

    ``queues`` are Postfix instances that hand on what they hold before they stop. ``alone`` says, a sentence each, for
    what there is no second host, so that the change is noticed.
    """

    host: str
    move: Move | None = None
    drains: tuple[Drain, ...] = ()
    queues: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.move or self.drains or self.queues or self.alone)


class Rollout(Frozen):
    """Waves of hosts that follow each other, and the turn of every host in them."""

    waves: tuple[tuple[str, ...], ...]
    turns: Mapping[str, Turn] = field(default_factory=dict)
