"""Streams between a command on a host and an encrypted file here; nothing of it lies in clear on this machine's disk.

Edge: SSH, files, age.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import paramiko
import pyrage

from smtpctl.errors import SmtpctlError, TransportError
from smtpctl.keys.identity import Identity
from smtpctl.keys.recipients import parse_recipient
from smtpctl.operate.backup.manifest import Part
from smtpctl.transport.connection import Connection
from smtpctl.transport.program import start


class FromHost(io.RawIOBase):
    """What a command on a host prints. Its end is an error unless the command ended well."""

    def __init__(self, connection: Connection, user: str, *command: str) -> None:
        self._where = connection.target.host
        self._channel = start(connection, user, *command)
        self._channel.shutdown_write()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._channel.recv(len(buffer))
        buffer[: len(data)] = data
        if not data:
            ended(self._channel, self._where)
        return len(data)


def ended(channel: paramiko.Channel, where: str) -> None:
    """Raise TransportError unless the command behind ``channel`` ended well."""
    words = b"".join(iter(lambda: channel.recv_stderr(1 << 16), b"")).decode(errors="replace").strip()
    if channel.recv_exit_status():
        raise TransportError(f"{where}: {words.splitlines()[-1] if words else 'the command failed'}")


class Written:
    """A file that is being written, with its size and hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self._size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def part(self, name: str) -> Part:
        return Part(name, self._size, self._hash.hexdigest())


class _Reader:
    """A stream that remembers why it failed: age would say so in words only."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:
            self.failure = error
            raise


def keep(source: IO[bytes] | io.RawIOBase, path: Path, recipients: Sequence[str]) -> Part:
    """Encrypt a stream into a file, which is there when it is whole."""
    keys = [parse_recipient(text, where="recipient") for text in recipients]
    if not keys:
        raise SmtpctlError("there is no recipient to encrypt the backup for", hint="smtpctl secrets recipients")
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        written = Written(file)
        buffered = io.BufferedReader(source, 1 << 18) if isinstance(source, io.RawIOBase) else source
        reader = _Reader(buffered)
        try:
            pyrage.encrypt_io(reader, written, keys)
        except pyrage.EncryptError as error:
            draft.unlink()
            raise reader.failure or SmtpctlError(f"{path} cannot be written: {error}") from None
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return written.part(path.name)


def check(path: Path, part: Part) -> None:
    """Raise SmtpctlError unless the file is as the manifest says."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            found.update(data)
    if found.hexdigest() != part.sha256:
        raise SmtpctlError(f"{path} is damaged: its SHA-256 is not the manifest's", hint="take another backup")


class _ToChannel:
    """Writes to a command on a host."""

    def __init__(self, channel: paramiko.Channel, where: str) -> None:
        self._channel = channel
        self._where = where
        self.failure: Exception | None = None

    def write(self, data: bytes) -> int:
        try:
            self._channel.sendall(data)
        except OSError as broken:
            self.failure = broken
            try:
                ended(self._channel, self._where)
            except TransportError as error:
                self.failure = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""


def give(path: Path, identity: Identity, connection: Connection, user: str, *command: str) -> bytes:
    """Decrypt a file into a command on a host; what that says."""
    channel = start(connection, user, *command)
    writer = _ToChannel(channel, connection.target.host)
    try:
        with path.open("rb") as file:
            pyrage.decrypt_io(file, writer, list(identity.keys))
        channel.shutdown_write()
        said = b"".join(iter(lambda: channel.recv(1 << 16), b""))
        ended(channel, connection.target.host)
    except pyrage.DecryptError as error:
        raise writer.failure or _closed(path, error) from None
    finally:
        channel.close()
    return said


def read(path: Path, identity: Identity) -> bytes:
    """A small file, decrypted."""
    try:
        content: bytes = pyrage.decrypt(path.read_bytes(), list(identity.keys))
    except pyrage.DecryptError as error:
        raise _closed(path, error) from None
    return content


def _closed(path: Path, error: Exception) -> SmtpctlError:
    hint = "SMTPCTL_AGE_IDENTITY names the identity; the backup is for those who could read the secrets then"
    return SmtpctlError(f"{path} cannot be opened: {error}", hint=hint)
