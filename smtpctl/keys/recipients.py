"""Who can open the secrets file: the text file ``INVENTORY.recipients``, one age or SSH public key a line.

The list is the truth for every write. An age file does not say whom it was made for, so whoever writes must be on the
list, or the next writer would lock them out: `with_recipient` keeps that so. Reviewing a change of this file is
reviewing who may read every secret of the fleet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyrage

from smtpctl.errors import SecretsError

_HEADER = "# who can open the secrets of this inventory: age (age1…) or SSH public keys, one a line\n"


def recipients_path(inventory: Path) -> Path:
    """``inventory/lab.yml`` has its recipients in ``inventory/lab.recipients``."""
    return inventory.with_suffix(".recipients")


def read_recipients(inventory: Path) -> tuple[str, ...]:
    """The keys on the list, in its order; none if there is no list. Raise SecretsError for a line that is no key."""
    path = recipients_path(inventory)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(f"cannot read {path}: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            parse_recipient(line, where=f"{path}:{number}")
            found.append(line.strip())
    return tuple(dict.fromkeys(found))


def parse_recipient(text: str, *, where: str) -> Any:
    """Given a public key as text, return it for pyrage. Raise SecretsError, headed ``where``, if it is none."""
    text = text.strip()
    if text.startswith(_PREFIX_OF_IDENTITIES):
        # The value is a private key in the wrong place, so it must not be repeated.
        raise SecretsError(
            f"{where}: this is a private identity, not a public key",
            hint="remove it and treat that identity as disclosed; `age-keygen -y` prints the public key of an identity",
        )
    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise SecretsError(
            f"{where}: {text!r} is not a public key", hint="write age1…, ssh-ed25519 … or ssh-rsa …"
        ) from None


def with_recipient(text: str, key: str) -> str:
    """The text of a list with ``key`` on it; every line that was there stays as it is."""
    if any(line.strip() == key for line in text.splitlines()):
        return text
    body = text or _HEADER
    return body + ("" if body.endswith("\n") else "\n") + key + "\n"


def without_recipient(text: str, key: str) -> str:
    """The text of a list without ``key``."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() != key)


_PREFIX_OF_IDENTITIES = "AGE-SECRET-KEY-"
