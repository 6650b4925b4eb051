"""A bare host, where only root can sign in, made ready for the log-in user of the inventory.

Every step leaves alone what stands already, so that it can be run again: after a failure, or for a new release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from smtpctl.errors import HostError, TransportError
from smtpctl.transport import bundle
from smtpctl.transport.connection import Connection, Target, known_name, operator
from smtpctl.transport.handshake import known_keys, shown_key
from smtpctl.transport.host import Host

#: Seconds for apt to fetch and install Python.
INSTALL_SECONDS = 600.0

_INSTALL_PYTHON = """\
test -x /usr/bin/python3 && exit
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
{ apt-get -qq update && apt-get -qq --no-install-recommends install python3; } >&2 && echo installed"""

#: Tells what is being done.
Report = Callable[[str], None]

#: Whether the host key of this type and fingerprint is the host's.
Trust = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """A host that is ready: its host key, and what was changed to make it so."""

    host: str
    user: str
    fingerprint: str
    changed: tuple[str, ...]


def bootstrap(target: Target, fingerprint: str | None, trust: Trust, report: Report) -> Bootstrapped:
    """Record the host key of ``target`` and let its user in. Root signs in with the key that the user will have.

    An unknown host key has to be of ``fingerprint``, or trusted by word. Raise TransportError or HostError.
    """
    report(f"host key of {known_name(target)}")
    shown, recorded = _agree_on_key(target, fingerprint, trust)
    changed = [str(target.known_hosts)] if recorded else []
    root = replace(target, user="root")
    report("Python")
    key, installed = _install_python(root)
    changed += ["package python3"] if installed else []
    if target.user != "root":
        report(f"user {target.user}")
        changed += _admit(root, target.user, key)
    report(f"sign in as {target.user}")
    with Host(target, operator()) as host:
        host.ask({"do": "ping"})
    return Bootstrapped(target.host, target.user, shown.fingerprint, tuple(changed))


def _agree_on_key(target: Target, fingerprint: str | None, trust: Trust) -> tuple[paramiko.PKey, bool]:
    """The key that the host shows, and whether it was recorded now."""
    shown = shown_key(target)
    if fingerprint is not None and shown.fingerprint != fingerprint:
        kind = shown.get_name()
        raise TransportError(
            f"{target.host}: {known_name(target)} shows {kind} {shown.fingerprint}, not {fingerprint}",
            hint=f"on the host's console, for a key of type {kind}: for key in /etc/ssh/*.pub; do ssh-keygen -lf $key; "
            "done. If it is of none of them, somebody is in between",
        )
    if known_keys(target):
        return shown, False
    if fingerprint is None and not trust(shown.get_name(), shown.fingerprint):
        raise TransportError(f"{target.host}: the host key was not trusted; nothing was changed")
    _record(target.known_hosts, f"{known_name(target)} {shown.get_name()} {shown.get_base64()}\n")
    return shown, True


def _record(known_hosts: Path, line: str) -> None:
    """Add a line to a file of known host keys, which is made when it is missing."""
    known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with known_hosts.open("a+", encoding="utf-8") as file:
        file.seek(0)
        before = file.read()
        file.write(line if not before or before.endswith("\n") else f"\n{line}")


def _install_python(root: Target) -> tuple[str, bool]:
    """The key that root signed in with, and whether Python had to be installed."""
    connection = Connection(root)
    try:
        channel = connection.run(_INSTALL_PYTHON)
        channel.settimeout(INSTALL_SECONDS)
        said = channel.makefile("rb").read()
        words = channel.makefile_stderr("rb").read().decode(errors="replace").strip()
        if channel.recv_exit_status():
            raise HostError(root.host, "packages", f"apt-get install python3: {words}")
        return connection.public_key, bool(said)
    except TimeoutError:
        raise HostError(root.host, "packages", f"apt-get: no end after {INSTALL_SECONDS:g} s") from None
    finally:
        connection.close()


def _admit(root: Target, user: str, key: str) -> list[str]:
    request = {"do": "admit", "user": user, "key": key, "command": [bundle.FIXED_COMMAND, bundle.fixed_command()]}
    with Host(root, operator()) as host:
        changed: list[str] = host.ask(request).header["changed"]
        return changed
