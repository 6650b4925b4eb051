"""The age identity of whoever runs smtpctl: where it lives, how it is read and how it is made. Edge: files.

The identity opens every secret of the fleet, so a file that others may read is refused, not warned about. This module
never prints an identity and never puts a line of its file into an error.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import pyrage

from smtpctl.errors import SecretsError
from smtpctl.model.frozen import Frozen

#: Names a file that holds the identity, in place of the one in the home directory.
IDENTITY_VARIABLE = "SMTPCTL_AGE_IDENTITY"

_PREFIX = "AGE-SECRET-KEY-1"
_HINT_FORM = "an identity file holds one line AGE-SECRET-KEY-1…, as `age-keygen` writes it"


class Identity(Frozen):
    """One or more age keys from one file. ``public_key`` is the first one's, ``age1…``."""

    path: Path
    public_key: str
    keys: tuple[Any, ...] = field(repr=False)


def identity_path() -> Path:
    """Where the identity is looked for: ``$SMTPCTL_AGE_IDENTITY``, else ``~/.config/smtpctl/identity.txt``."""
    named = os.environ.get(IDENTITY_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".config/smtpctl/identity.txt"


def load_identity(path: Path) -> Identity:
    """Given the path of an identity file, return its keys. Raise SecretsError if it is missing, open to others or
    not an age identity."""
    text = _read_private(path)
    keys = tuple(_parse(line, path, number) for number, line in enumerate(text.splitlines(), 1) if _is_key(line))
    if not keys:
        raise SecretsError(f"{path} holds no age identity", hint=_HINT_FORM)
    return Identity(path, str(keys[0].to_public()), keys)


def create_identity(path: Path) -> Identity:
    """Make a new identity at ``path`` (0600, its folder 0700), unless another process was faster: then read that."""
    import tempfile  # brings many others, and is needed once in a lifetime

    key = pyrage.x25519.Identity.generate()
    text = f"# opens the secrets of smtpctl's fleets; keep a copy offline\n# public key: {key.to_public()}\n{key}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".identity.") as draft:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
            # A link never replaces: of two processes one wins, and the file that the other then reads is whole.
            with suppress(FileExistsError):
                os.link(draft.name, path)
    except OSError as error:
        raise SecretsError(f"cannot make an identity at {path}: {error.strerror}") from None
    return load_identity(path)


def _read_private(path: Path) -> str:
    """The file's text, after looking at the mode of the very file that was opened."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise SecretsError(
                    f"identity {path} has mode {stat.S_IMODE(mode):04o}: others may read or change it",
                    hint=f"run: chmod 600 {path}",
                )
            return file.read()
    except FileNotFoundError:
        raise SecretsError(
            f"there is no identity at {path}",
            hint=f"set {IDENTITY_VARIABLE} to your identity file, or run `smtpctl secrets init` to make one",
        ) from None
    except OSError as error:
        raise SecretsError(f"cannot read identity {path}: {error.strerror}") from None


def _is_key(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _parse(line: str, path: Path, number: int) -> Any:
    if not line.startswith(_PREFIX):
        raise SecretsError(f"{path}:{number}: not an X25519 age identity", hint=_HINT_FORM)
    try:
        return pyrage.x25519.Identity.from_str(line.strip())
    except pyrage.IdentityError:
        raise SecretsError(f"{path}:{number}: the age identity is damaged", hint=_HINT_FORM) from None
