"""SCRAM-SHA-256 (RFC 5802, RFC 7677): what a server keeps in place of a password, in Dovecot's and PostgreSQL's forms.

Pure. Passwords are printable ASCII (`check_password`), over which SASLprep (RFC 4013) changes nothing; so the two
servers, of which only PostgreSQL prepares, agree with every client.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from smtpctl.errors import SecretsError

#: RFC 7677 §4 asks for at least 4096. Generated passwords carry 190 bits, so more would only slow sign-ins down.
ITERATIONS = 4096
SALT_BYTES = 16
SHORTEST_PASSWORD = 12


@dataclass(frozen=True, slots=True)
class Verifier:
    """What checks a password, and proves the server to the client, without holding the password."""

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def for_dovecot(self) -> str:
        """The form of Dovecot's passdb: ``{SCRAM-SHA-256}iterations,salt,stored,server``."""
        return (
            f"{{SCRAM-SHA-256}}{self.iterations},{_text(self.salt)},{_text(self.stored_key)},{_text(self.server_key)}"
        )

    def for_postgresql(self) -> str:
        """The form of ``CREATE ROLE … PASSWORD``: ``SCRAM-SHA-256$iterations:salt$stored:server``."""
        return f"SCRAM-SHA-256${self.iterations}:{_text(self.salt)}${_text(self.stored_key)}:{_text(self.server_key)}"


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> Verifier:
    """Given a password and a salt, return the verifier (RFC 5802 §3)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return Verifier(iterations, salt, hashlib.sha256(client_key).digest(), server_key)


def check_password(name: str, password: str) -> None:
    """Raise SecretsError, which does not repeat it, if ``password`` cannot serve as the secret ``name``."""
    if len(password) < SHORTEST_PASSWORD:
        raise SecretsError(
            f"{name}: the password has {len(password)} characters, the least is {SHORTEST_PASSWORD}",
            hint="let smtpctl make one: smtpctl secrets rotate INVENTORY NAME",
        )
    if not all("!" <= character <= "~" for character in password):
        raise SecretsError(
            f"{name}: the password has characters other than printable ASCII without spaces",
            hint="servers and clients prepare other characters differently (RFC 4013); use ASCII",
        )


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
