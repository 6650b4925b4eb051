"""The content of the secrets file: a JSON object of name and value, encrypted by age. Values in memory only, no files.

Errors say what is wrong with the file; they never carry a piece of the plain text, not even as an exception's context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pyrage

from smtpctl.errors import SecretsError
from smtpctl.keys.identity import Identity
from smtpctl.keys.recipients import parse_recipient


class NotARecipientError(SecretsError):
    """The file was encrypted for others."""


def seal(values: Mapping[str, str], recipients: Iterable[str]) -> bytes:
    """Given values and public keys, return the encrypted file. Raise SecretsError if there is nobody to encrypt for."""
    keys = [parse_recipient(text, where="recipient") for text in recipients]
    if not keys:
        raise SecretsError("there is no recipient to encrypt the secrets for")
    plain = json.dumps(dict(values), indent=1, sort_keys=True, ensure_ascii=False).encode()
    sealed: bytes = pyrage.encrypt(plain, keys)
    return sealed


def unseal(content: bytes, identity: Identity, *, name: str) -> dict[str, str]:
    """Given an encrypted file called ``name``, return its values. Raise NotARecipientError if ``identity`` cannot open
    it, SecretsError if it is damaged or holds something else."""
    try:
        plain: bytes = pyrage.decrypt(content, list(identity.keys))
    except pyrage.DecryptError as error:
        raise _explained(str(error), identity, name) from None
    values = _parsed(plain)
    if values is None:
        raise SecretsError(
            f"{name} opens, but does not hold a JSON object of names and texts",
            hint="restore the file from its history; `smtpctl secrets` writes it in the right form",
        )
    return values


def _explained(reason: str, identity: Identity, name: str) -> SecretsError:
    """age's words for what went wrong, as an error with its remedy. The words are those of pyrage 1.4's rage."""
    if "No matching keys" in reason:
        return NotARecipientError(
            f"{name} is not encrypted for the identity {identity.path} (public key {identity.public_key})",
            hint="let someone who can open it run: smtpctl secrets recipients INVENTORY --add " + identity.public_key,
        )
    return SecretsError(f"{name} is damaged ({reason})", hint="restore it from a backup or the repository's history")


def _parsed(plain: bytes) -> dict[str, str] | None:
    """The values, or None. A ValueError of the parser holds the whole plain text, so it ends here."""
    try:
        document = json.loads(plain)
    except ValueError:
        return None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        return None
    return document
