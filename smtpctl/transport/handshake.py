"""SSH over a TCP connection that is there already, with paramiko: known host keys only, explicit keys of ours."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from smtpctl.errors import TransportError
from smtpctl.transport.connection import TIMEOUT, Target, answered, call, known_name, where

# paramiko's reader of ssh_config, which is not used here, imports invoke when it is there: 45 ms at every start.
sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]

import paramiko  # noqa: E402
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey  # noqa: E402

KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")


def signed_in(target: Target, raw: socket.socket) -> tuple[paramiko.Transport, paramiko.PKey]:
    """The connection, and the key that let us in. Raise TransportError, and close it."""
    transport = _transport(raw)
    try:
        known = _required_keys(target)
        _greet(target, transport, known)
        _check_host_key(target, known, transport.get_remote_server_key())
        return transport, _sign_in(target, transport)
    except (paramiko.SSHException, OSError, EOFError) as error:
        _close(transport)
        raise TransportError(f"{where(target)}: {error}") from error
    except TransportError:
        _close(transport)
        raise


def session(target: Target, transport: paramiko.Transport, command: str) -> paramiko.Channel:
    """Start ``command`` in a session of its own. Raise TransportError."""
    try:
        channel = transport.open_session(timeout=TIMEOUT)
        channel.exec_command(command)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise TransportError(f"{target.host}: no session: {error}") from error
    return channel


def shown_key(target: Target) -> paramiko.PKey:
    """The host key that ``target`` shows, of a type that is known of it if there is one. Nobody signs in.

    Raise TransportError where another key is known.
    """
    known = known_keys(target) or {}
    transport = _transport(answered(target, call(target)))
    try:
        _greet(target, transport, known)
        shown = transport.get_remote_server_key()
        if known:
            _check_host_key(target, known, shown)
        return shown
    finally:
        _close(transport)


def _transport(raw: socket.socket) -> paramiko.Transport:
    transport = paramiko.Transport(raw)
    transport.banner_timeout = transport.auth_timeout = TIMEOUT
    return transport


def _greet(target: Target, transport: paramiko.Transport, known: dict[str, paramiko.PKey]) -> None:
    """Exchange keys; the host shows its own."""
    transport.get_security_options().key_types = _preferred(transport, known)
    try:
        transport.start_client(timeout=TIMEOUT)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise TransportError(f"{where(target)}: {error}") from error


def _close(transport: paramiko.Transport) -> None:
    """A transport that never became active does not close its socket by itself."""
    transport.close()
    transport.sock.close()


def known_keys(target: Target) -> dict[str, paramiko.PKey] | None:
    """Known keys of a host by type, looked up as OpenSSH does: address, and [address]:port where it is not 22."""
    if not target.known_hosts.exists():
        return None
    name, keys = known_name(target), paramiko.HostKeys()
    for line in target.known_hosts.read_text(encoding="utf-8", errors="replace").splitlines():
        # Only lines that may speak of this host: to read the keys of all, for each of all, takes long in a large fleet.
        names = line.strip().partition(" ")[0]
        if name in names.split(",") or names.startswith("|"):
            _take_in(keys, line.strip())
    found = keys.lookup(name)
    return None if found is None else dict(found.items())


def _take_in(keys: paramiko.HostKeys, line: str) -> None:
    try:
        entry = HostKeyEntry.from_line(line)
    except (paramiko.SSHException, InvalidHostKey):  # OpenSSH passes over such a line, too
        return
    if entry is not None and entry.key is not None:
        for name in entry.hostnames or ():
            keys.add(name, entry.key.get_name(), entry.key)


def _required_keys(target: Target) -> dict[str, paramiko.PKey]:
    if not target.known_hosts.exists():
        raise TransportError(
            f"{target.host}: there is no file of known host keys at {target.known_hosts}", hint=_hint(target)
        )
    if (found := known_keys(target)) is None:
        raise TransportError(
            f"{target.host}: no host key of {known_name(target)} is known in {target.known_hosts}", hint=_hint(target)
        )
    return found


def _preferred(transport: paramiko.Transport, known: dict[str, paramiko.PKey]) -> tuple[str, ...]:
    """Ask for the types of key that are known: another type could only be refused."""
    types = transport.get_security_options().key_types
    chosen = tuple(name for name in types if name in known or (name.startswith("rsa-sha2") and "ssh-rsa" in known))
    return chosen or tuple(types)


def _check_host_key(target: Target, known: dict[str, paramiko.PKey], shown: paramiko.PKey) -> None:
    if known.get(shown.get_name()) != shown:
        raise TransportError(
            f"{target.host}: HOST KEY CHANGED: {known_name(target)} shows {shown.get_name()} {shown.fingerprint}, "
            f"which is not the key in {target.known_hosts}",
            hint="somebody may be in between, or the host was reinstalled; compare the fingerprint on the host's "
            "console before you replace its line",
        )


def _sign_in(target: Target, transport: paramiko.Transport) -> paramiko.PKey:
    """The key that let us in."""
    refused = []
    for key in _identities(target):
        try:
            transport.auth_publickey(target.user, key)
        except paramiko.AuthenticationException:
            refused.append(key.get_name())
        else:
            return key
    tried = ", ".join(refused) or "no key at all"
    raise TransportError(
        f"{target.host}: the host refuses {target.user} with {tried}",
        hint="set ssh.identity in the inventory, and put its public half into the host's authorized_keys",
    )


def _identities(target: Target) -> list[paramiko.PKey]:
    if target.identity is not None:
        return [_load(target.identity)]
    folder = Path("~/.ssh").expanduser()
    files = [_load(folder / name) for name in KEY_NAMES if (folder / name).exists()]
    return [*paramiko.Agent().get_keys(), *files]


def _load(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path.expanduser())
    except paramiko.PasswordRequiredException:
        raise TransportError(
            f"the key {path} is protected by a passphrase", hint="load it into ssh-agent and leave ssh.identity out"
        ) from None
    except (OSError, paramiko.SSHException, ValueError) as error:
        raise TransportError(f"the key {path} cannot be read: {error}", hint="see ssh.identity") from error


def _hint(target: Target) -> str:
    return (
        f"`smtpctl bootstrap {target.host}` shows and records it; or compare it on the console, then: "
        f"ssh-keyscan -p {target.port} {target.address} >> {target.known_hosts}"
    )
