"""Identities that outlive a lab: the controller's SSH key, a host key for every host, and the files that trust them.

They are made once and kept in the state folder, so that a host has the same key after `down` and `up`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from smtpctl.lab.plan import PlannedHost
from smtpctl.lab.state import StateFolder


def ensure_ssh_key(path: Path, comment: str) -> None:
    """An Ed25519 key pair in OpenSSH's form at ``path`` and ``path``.pub, made when missing."""
    if path.exists():
        return
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path.with_name(path.name + ".pub").write_text(f"{public} {comment}\n")
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def write_private(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``, readable by its owner only from the first moment, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.replace(path)


def ensure_ssh(state: StateFolder, hosts: Iterable[PlannedHost]) -> None:
    """Keys of the controller and of every host, known_hosts by name and address, and a configuration for ssh(1)."""
    state.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state.keys / "hosts").mkdir(mode=0o700, exist_ok=True)
    ensure_ssh_key(state.identity, "smtpctl-lab")
    known, sections = [], [_SSH_DEFAULTS.format(identity=state.identity, known_hosts=state.known_hosts)]
    for host in hosts:
        key = state.host_key(host.name)
        ensure_ssh_key(key, host.name)
        public = " ".join(key.with_name(f"{host.name}.pub").read_text().split()[:2])
        known.append(f"{host.name},{host.full_name},{host.address} {public}\n")
        sections.append(f"Host {host.name} {host.full_name}\n  HostName {host.address}\n")
    state.known_hosts.write_text("".join(known))
    state.ssh_config.write_text("".join(sections))


_SSH_DEFAULTS = """\
Host *
  User root
  IdentityFile "{identity}"
  IdentitiesOnly yes
  UserKnownHostsFile "{known_hosts}"
  StrictHostKeyChecking yes
  LogLevel ERROR
"""
