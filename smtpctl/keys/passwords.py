"""Random passwords. Edge: the random source of the operating system."""

from __future__ import annotations

import secrets
import string

#: Secret scanners find what begins so in code and logs.
PREFIX = "smtpctl_"

#: No character that a shell, a URL, a passwd-file or a .pgpass would need quoted.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32


def new_password() -> str:
    """``smtpctl_`` and 32 random letters and digits: 190 bits."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
