"""A program of a host, run there by the agent as any user; for what is more than the agent's own messages can carry."""

from __future__ import annotations

from typing import NamedTuple

import paramiko

from smtpctl.transport.connection import Connection, Target, operator
from smtpctl.transport.host import Agent


class Ended(NamedTuple):
    """What a program printed, and its exit code."""

    code: int
    output: bytes
    errors: str


def start(connection: Connection, user: str, *command: str) -> paramiko.Channel:
    """Start ``command`` as ``user``; its streams are the channel, which the caller closes."""
    agent = Agent(connection, operator())
    agent.ask({"do": "run", "user": user, "command": command})
    return agent.channel


def run(connection: Connection, user: str, *command: str, told: bytes = b"") -> Ended:
    """Run ``command`` to its end; ``told`` is its standard input, and what it says on standard error is short."""
    channel = start(connection, user, *command)
    try:
        channel.sendall(told)
        channel.shutdown_write()
        # What is said on standard error fits its window while standard output is read.
        output, errors = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
        return Ended(channel.recv_exit_status(), output, errors.decode(errors="replace").strip())
    finally:
        channel.close()


def run_on(target: Target, user: str, *command: str, told: bytes = b"") -> Ended:
    """``run`` over a connection of its own."""
    connection = Connection(target)
    try:
        return run(connection, user, *command, told=told)
    finally:
        connection.close()
