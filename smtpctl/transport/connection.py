"""A host as it is reached, and one SSH connection to it: one session, one command.

The host answers the TCP connection with a process of its own, which takes as long to get ready as this machine takes to
import paramiko (``smtpctl.transport.handshake``) and all else that a plan needs. So whoever knows early which hosts it
will want to speak to may ``call`` them before.

TCP_NODELAY is set by hand: paramiko never does, and every small exchange would wait 40 ms for a delayed
acknowledgement.
"""

from __future__ import annotations

import errno
import getpass
import os
import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from smtpctl.errors import TransportError
from smtpctl.model.frozen import Frozen

if TYPE_CHECKING:
    import paramiko

#: Seconds for each of: TCP connect, banner, key exchange, authentication.
TIMEOUT = 10.0


class Target(Frozen):
    """Where a host is and how to sign in. ``identity`` None: the agent's keys, then those of ~/.ssh."""

    host: str
    address: str
    port: int
    user: str
    known_hosts: Path
    identity: Path | None = None


class Connection:
    """An authenticated connection, closed by ``close``; over ``raw`` where the host was called before."""

    def __init__(self, target: Target, raw: socket.socket | None = None) -> None:
        self.target = target
        raw = _lively(reach(target) if raw is None else answered(target, raw))
        from smtpctl.transport import handshake

        self._transport, self._key = handshake.signed_in(target, raw)

    @property
    def public_key(self) -> str:
        """The key that the host let us in with, as a line of its authorized_keys."""
        return f"{self._key.get_name()} {self._key.get_base64()} smtpctl"

    def run(self, command: str) -> paramiko.Channel:
        """Start ``command`` on the host; its streams are the channel."""
        from smtpctl.transport import handshake

        return handshake.session(self.target, self._transport, command)

    def close(self) -> None:
        self._transport.close()


def reach(target: Target) -> socket.socket:
    """A TCP connection to the host, whose address may be a name. Raise TransportError."""
    try:
        return socket.create_connection((target.address, target.port), timeout=TIMEOUT)
    except OSError as error:
        raise _not_reached(target, str(error)) from error


def call(target: Target) -> socket.socket:
    """Begin a TCP connection to the host by its address, and do not wait for it."""
    raw = socket.socket(socket.AF_INET6 if ":" in target.address else socket.AF_INET)
    raw.setblocking(False)
    raw.connect_ex((target.address, target.port))
    return raw


def answered(target: Target, raw: socket.socket) -> socket.socket:
    """The connection, made. Raise TransportError, and close it."""
    poll = select.poll()
    poll.register(raw, select.POLLOUT)
    # Once a connection is made or has failed, connect(2) says which.
    number = raw.connect_ex((target.address, target.port)) if poll.poll(1000 * TIMEOUT) else errno.ETIMEDOUT
    if number not in (0, errno.EISCONN):
        raw.close()
        raise _not_reached(target, os.strerror(number))
    raw.settimeout(TIMEOUT)
    return raw


def _not_reached(target: Target, why: str) -> TransportError:
    hint = "is the host up, and may this machine reach its SSH port?"
    return TransportError(f"{where(target)}: no connection: {why}", hint=hint)


def _lively(raw: socket.socket) -> socket.socket:
    """The connection, without Nagle's delays, and given up when the other side has vanished (tcp(7))."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    return raw


def where(target: Target) -> str:
    """A host and its address, for a message."""
    return f"{target.host} ({target.address} port {target.port})"


def known_name(target: Target) -> str:
    """How a line of known_hosts begins for ``target``."""
    return target.address if target.port == 22 else f"[{target.address}]:{target.port}"


def operator() -> str:
    """Who is at work, for locks and history: user@machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
