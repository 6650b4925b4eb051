"""What rendering produces: the desired state of one host as plain values. No file is touched here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache

from smtpctl.model.frozen import Frozen


class Action(StrEnum):
    """What a changed file asks of a service."""

    RELOAD = "reload"
    RESTART = "restart"


class ManagedFile(Frozen):
    """One regular file on a host. ``path`` is absolute; ``mode`` is the permission bits; ``secret`` content
    never appears in a diff, log or error."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False

    @property
    def sha256(self) -> str:
        return content_hash(self.content)


@lru_cache(maxsize=512)
def content_hash(content: bytes) -> str:
    """SHA-256 of ``content``. It is asked for several times a file, and many hosts have the same file."""
    return hashlib.sha256(content).hexdigest()


class Service(Frozen):
    """One systemd unit that must be enabled and running.

    ``stage`` orders the fleet's services on a host: all of one stage are handled before the next
    (syslog and resolver 10, databases and milters 20, Postfix 30, HAProxy 40, keepalived 50, firewall 60).
    ``triggers`` maps a path pattern (fnmatch on the absolute path) to what a change of such a file needs.
    ``oneshot`` units run to completion and are started again when a trigger fires. ``serves`` names the roles whose
    mail waits while the unit restarts; ``packages`` are patterns of the packages whose upgrade it has to restart for.
    """

    unit: str
    stage: int
    triggers: tuple[tuple[str, Action], ...] = ()
    oneshot: bool = False
    serves: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class Check(Frozen):
    """A server's own checker, run on the staged tree at its final paths before anything goes live.

    ``command`` is an argument list. The check fails on a non-zero exit, and on any output line that matches one
    of ``fatal_output`` (regular expressions): ``postconf`` and ``systemd-analyze`` only warn about errors.
    ``paths`` are patterns (fnmatch); the check runs when a file that matches one of them changes.
    """

    name: str
    command: tuple[str, ...]
    paths: tuple[str, ...]
    fatal_output: tuple[str, ...] = ()


class Probe(Frozen):
    """A health check run on the host after the reloads; it must succeed within ``deadline`` seconds.

    ``kind`` is ``tcp`` (connects; ``expect`` is a prefix of the greeting, empty for none), ``unix`` (connects to a
    socket path) or ``command`` (exit 0). ``target`` is ``host:port``, a path or a shell-free command line.
    """

    name: str
    kind: str
    target: str
    expect: str = ""
    deadline: float = 15.0


class DesiredHost(Frozen):
    """Everything that one host must have. Equal inventories give equal values, byte for byte.

    ``virtual_address`` is what the host holds in turn with others; empty where it never does.
    """

    host: str
    files: Mapping[str, ManagedFile]
    packages: tuple[str, ...]
    services: tuple[Service, ...]
    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    masked_units: tuple[str, ...] = ()
    virtual_address: str = ""

    @property
    def revision(self) -> str:
        """The content hash that names this state: 16 hexadecimal digits over files, packages and services."""
        digest = hashlib.sha256()
        for path in sorted(self.files):
            file = self.files[path]
            digest.update(f"{path}\0{file.sha256}\0{file.mode:o}\0{file.owner}\0{file.group}\n".encode())
        for package in self.packages:
            digest.update(f"package {package}\n".encode())
        for service in self.services:
            digest.update(f"service {service.unit}\n".encode())
        for unit in self.masked_units:
            digest.update(f"masked {unit}\n".encode())
        return digest.hexdigest()[:16]
