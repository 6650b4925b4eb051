"""Connections to hosts that give way, or take over, while another one changes. They change no file there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smtpctl.errors import HostError, SmtpctlError, TransportError
from smtpctl.transport.connection import Target, operator
from smtpctl.transport.host import Host


class Neighbours:
    """A connection to each host that is asked for, made when it is first needed and kept for the run.

    With the connection ends what was asked of the host: its agent makes ready again what it had drained.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._targets = targets
        self._hosts: dict[str, Host] = {}

    def ask(self, name: str, what: str, **request: Any) -> dict[str, Any]:
        """Have ``name`` give way or take over (``smtpctl.transport.agent.giving_way``); its answer.

        Raise TransportError or HostError.
        """
        return self._send(name, {"do": "give-way", "what": what, **request})

    def try_to_reach(self, name: str) -> SmtpctlError | None:
        """Connect to ``name``; the error where that is not possible."""
        try:
            self._send(name, {"do": "ping"})
        except TransportError as error:
            return error
        return None

    def _send(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if name not in self._targets:
            raise HostError(name, "drain", "the run does not know where this host is")
        if name not in self._hosts:
            self._hosts[name] = Host(self._targets[name], operator())
        try:
            return self._hosts[name].ask(request).header
        except TransportError:
            self._hosts.pop(name).close()
            raise

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()
        self._hosts = {}
