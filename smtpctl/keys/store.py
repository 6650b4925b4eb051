"""The secrets file beside the inventory: read, and changed under a lock, whole, by rename. Edge: files.

Only cipher text reaches a disk. `changing` holds the lock from reading to writing, so of two commands at once neither
loses the other's keys; nothing that waits for a human may run inside it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from smtpctl.errors import SecretsError
from smtpctl.keys.agefile import NotARecipientError, seal, unseal
from smtpctl.keys.identity import Identity, identity_path, load_identity
from smtpctl.keys.recipients import parse_recipient, read_recipients, recipients_path, with_recipient, without_recipient
from smtpctl.model.secrets import Secrets


def secrets_path(inventory: Path) -> Path:
    """``inventory/lab.yml`` has its secrets in ``inventory/lab.secrets.age``."""
    return inventory.with_suffix(".secrets.age")


def read_secrets(inventory: Path, *, placeholders: bool = False) -> Secrets:
    """Given the path of an inventory, return its secrets.

    With ``placeholders`` (rendering, CI) nobody needs the key: without the file or an identity that opens it, and for
    each single secret that is missing, placeholders stand in. Raise SecretsError otherwise, and for a damaged file.
    """
    if placeholders and not (secrets_path(inventory).exists() and identity_path().exists()):
        return Secrets({}, placeholders=True)
    try:
        return Secrets(read_values(inventory, load_identity(identity_path())), placeholders=placeholders)
    except NotARecipientError:
        if not placeholders:
            raise
        return Secrets({}, placeholders=True)


def read_values(inventory: Path, identity: Identity) -> dict[str, str]:
    """Every value by its name. Raise SecretsError if the file is missing, damaged or for others."""
    path = secrets_path(inventory)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SecretsError(f"there is no secrets file {path}", hint=f"run: smtpctl secrets init {inventory}") from None
    except OSError as error:
        raise SecretsError(f"cannot read {path}: {error.strerror}") from None
    return unseal(content, identity, name=str(path))


@contextmanager
def changing(inventory: Path, identity: Identity, *, create: bool = False) -> Iterator[dict[str, str]]:
    """Under the lock, give the values to change; write them if they changed. An exception writes nothing.

    With ``create`` a missing file counts as empty.
    """
    with locked(inventory):
        fresh = create and not secrets_path(inventory).exists()
        before = {} if fresh else read_values(inventory, identity)
        values = dict(before)
        yield values
        if fresh or values != before:
            write_values(inventory, identity, values)


def write_values(inventory: Path, identity: Identity, values: dict[str, str]) -> None:
    """Encrypt for everyone on the list, the writer put on it first, and replace the file. The lock must be held."""
    if identity.public_key not in read_recipients(inventory):
        _list_writer(inventory, identity)
    replace_file(secrets_path(inventory), seal(values, read_recipients(inventory)), mode=0o600)


def change_recipients(
    inventory: Path, identity: Identity, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Change the list of who can open the secrets and encrypt them again for it. Raise SecretsError for a key that is
    none, is not on the list, or is the caller's own: a colleague has to remove that one."""
    with locked(inventory):
        values = read_values(inventory, identity)
        text = _list_text(inventory)
        for key in (key.strip() for key in remove):
            if key == identity.public_key or key not in read_recipients(inventory):
                reason = "is your own: you would be locked out" if key == identity.public_key else "is not on the list"
                raise SecretsError(f"recipient {key!r} {reason}")
            text = without_recipient(text, key)
        for key in add:
            parse_recipient(key, where="--add")
            text = with_recipient(text, key.strip())
        replace_file(recipients_path(inventory), with_recipient(text, identity.public_key).encode(), mode=0o644)
        write_values(inventory, identity, values)


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write ``path`` whole: a reader sees the old or the new content, also after a power failure. Relies on rename
    within one folder being atomic (POSIX)."""
    import tempfile  # brings many others; every plan reads secrets, and few commands write them

    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise SecretsError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(draft).replace(path)
    except OSError as error:
        raise SecretsError(f"cannot write {path}: {error.strerror}") from None
    finally:
        Path(draft).unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def locked(inventory: Path) -> Iterator[None]:
    """Hold the inventory's lock file. It stays when the lock is gone: removing it would let two holders in."""
    path = inventory.with_name(f".{inventory.stem}.secrets.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SecretsError(f"cannot lock {secrets_path(inventory)}: {path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _list_writer(inventory: Path, identity: Identity) -> None:
    text = with_recipient(_list_text(inventory), identity.public_key)
    replace_file(recipients_path(inventory), text.encode(), mode=0o644)


def _list_text(inventory: Path) -> str:
    path = recipients_path(inventory)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
