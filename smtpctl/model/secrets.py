"""Secrets by name, as values: never printed, never compared in clear, with placeholders where there is no key.

Names (a path each):

- ``dkim/DOMAIN/SELECTOR/private`` (PEM, PKCS#8) and ``…/public`` (base64 for the ``p=`` tag, RFC 6376 §3.6.1, RFC 8463)
- ``tls/ca/certificate``, ``tls/ca/key``; ``tls/NAME/certificate`` (leaf, then CA) and ``tls/NAME/key`` (PEM); NAME is
  a host's name
- ``credentials/NAME/password`` and ``…/scram`` (Dovecot's ``{SCRAM-SHA-256}iterations,salt,stored,server``)
- ``mailboxes/NAME/password`` and ``…/scram`` (same form)
- ``probe/password`` and ``…/scram`` (same form): what the probe message of a health check signs in with
- ``database/ROLE/password`` and ``…/verifier`` (PostgreSQL's ``SCRAM-SHA-256$iterations:salt$stored:server``); ROLE is
  ``writer_HOST``, ``policy_HOST``, ``feedback_HOST``, ``reader`` or ``operator``
- ``ledger/lookup/keys`` (JSON: number to key, hexadecimal), ``ledger/reading/private`` and ``…/public`` (X25519),
  ``ledger/receipts/private`` and ``…/public`` (Ed25519), hexadecimal
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from smtpctl.errors import SecretsError

#: Parts of a name whose values are public: they may stand in a diff.
PUBLIC_SUFFIXES = ("/public", "/certificate")


class Secrets(Mapping[str, str]):
    """All secrets of a fleet. With ``placeholders`` a missing one reads as ``PLACEHOLDER(name)``: CI renders so."""

    def __init__(self, values: Mapping[str, str], *, placeholders: bool = False) -> None:
        self._values = dict(values)
        self.placeholders = placeholders

    def __getitem__(self, name: str) -> str:
        if name in self._values:
            return self._values[name]
        if self.placeholders:
            return f"PLACEHOLDER({name})"
        raise SecretsError(f"secret {name!r} is missing", hint="run: smtpctl secrets init INVENTORY")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._values)} values>"

    def mask(self, text: str) -> str:
        """``text`` with every secret value replaced by ``<secret NAME>``, also where a diff or JSON took its lines
        apart; public parts stay, also those that a private key's encoding repeats."""
        for part, name in self._secret_parts:
            text = text.replace(part, f"<secret {name}>")
        return text

    @staticmethod
    def is_public(name: str) -> bool:
        """Whether the value of this name may be seen by everybody: a certificate, the public half of a key."""
        return name.endswith(PUBLIC_SUFFIXES)

    @functools.cached_property
    def _secret_parts(self) -> tuple[tuple[str, str], ...]:
        public = "\0".join(value for name, value in self._values.items() if self.is_public(name))
        return tuple(
            (part, name)
            for name, value in sorted(self._values.items(), key=lambda item: -len(item[1]))
            if not self.is_public(name)
            for part in _recognisable_parts(value)
            if part not in public
        )


class ReadSecrets(Secrets):
    """Secrets that note which of them were read: only those can be in what was made meanwhile."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets._values, placeholders=secrets.placeholders)
        self._noted: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self._noted.add(name)
        return super().__getitem__(name)

    def noted(self) -> frozenset[str]:
        """Names that were read since this was asked last."""
        names = frozenset(self._noted)
        self._noted.clear()
        return names


def _recognisable_parts(value: str) -> list[str]:
    """The value, then each of its lines; not what is too short to be told from ordinary text, nor PEM's frame."""
    lines = [line for line in value.splitlines() if not line.startswith("-----")]
    return [part for part in dict.fromkeys((value, value.strip(), *lines)) if len(part) >= 8]
