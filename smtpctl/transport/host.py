"""A host over the wire: one connection, one command, and messages with the agent behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from smtpctl.errors import HostError, TransportError
from smtpctl.transport import bundle
from smtpctl.transport.agent import frames
from smtpctl.transport.connection import Connection, Target

if TYPE_CHECKING:
    from socket import socket

#: Called with (step, detail) whenever the agent begins a step.
OnStep = Callable[[str, str], None]


def led_back(header: Mapping[str, Any]) -> str:
    """What an agent's answer says of a way back: what it came to, and what is as it was not before."""
    left = f"; but: {header['problems']}" if header["problems"] else ""
    return f"led back to the state before{header['stays']}{left}"


class LedBackError(HostError):
    """A step failed after the change was live, and the host is back on its state before."""


class Agent:
    """An agent on a host, started over a connection that is somebody else's."""

    def __init__(self, connection: Connection, holder: str) -> None:
        self.name = connection.target.host
        self.channel = connection.run(bundle.command(connection.target.user, holder))
        self._sudo = connection.target.user != "root"

    def ask(
        self,
        header: dict[str, Any],
        blobs: Sequence[bytes] = (),
        on_step: OnStep | None = None,
        on_event: Callable[[frames.Message], None] | None = None,
    ) -> frames.Message:
        """Send a request; its answer, after the steps, and other events, that the agent reports on the way.

        Raise HostError when a step failed on the host, TransportError when the connection or the agent is gone.
        """
        self._send(frames.pack(header, blobs))
        while True:
            message = self._receive()
            answer = message.header.get("answer")
            if answer == "agent wanted":
                content = bundle.archive()
                self._send(len(content).to_bytes(4, "big") + content)
            elif answer is None and message.header["event"] != "step":
                if on_event:
                    on_event(message)
            elif answer is None:
                if on_step:
                    on_step(message.header["step"], message.header["detail"])
            else:
                return self._checked(message)

    def _send(self, data: bytes) -> None:
        try:
            self.channel.sendall(data)
        except OSError:
            raise self._gone() from None

    def _receive(self) -> frames.Message:
        try:
            message = frames.read(self.channel.recv)
        except frames.FrameError as error:
            raise TransportError(f"{self.name}: {error}{self._words()}") from error
        except OSError:
            raise self._gone() from None
        if message is None:
            raise self._gone()
        return message

    def _checked(self, message: frames.Message) -> frames.Message:
        header = message.header
        if header["answer"] == "locked":
            raise HostError(self.name, "lock", f"being changed by {header['holder']}", hint="try again when it is done")
        if header["answer"] == "failed":
            detail = header["detail"]
            if header.get("undone"):
                raise LedBackError(self.name, header["step"], f"{detail}\n{led_back(header)}")
            raise HostError(self.name, header["step"], detail)
        return message

    def _gone(self) -> TransportError:
        """Why the agent ended, from its exit status and its last words."""
        words = self._words()
        # sshd sends the exit status after the end of the output, in a message of its own (RFC 4254 section 6.10).
        status = self.channel.recv_exit_status() if self.channel.status_event.wait(2.0) else -1
        if self._sudo and "sudo" in words:
            return TransportError(
                f"{self.name}: no sudo{words}",
                hint=f"`smtpctl bootstrap {self.name}` gives the log-in user what it needs: one command, by sudo "
                "without a password",
            )
        if status == 127:
            return TransportError(
                f"{self.name}: there is no /usr/bin/python3", hint="on the host: apt-get install python3"
            )
        return TransportError(f"{self.name}: the connection ended{words}")

    def _words(self) -> str:
        self.channel.settimeout(2.0)
        words = b""
        try:
            while len(words) < 65536 and (chunk := self.channel.recv_stderr(4096)):
                words += chunk
        except TimeoutError:
            pass
        text = words.decode(errors="replace").strip()
        return f": {text}" if text else ""


class Host(Agent):
    """The agent of one host. Close it, or use it as a context manager: the lock on the host lives as long."""

    def __init__(self, target: Target, holder: str, raw: socket | None = None) -> None:
        self._connection = Connection(target, raw)
        super().__init__(self._connection, holder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
