"""Make what a fleet needs and does not have yet. Existing values stay; only certificates are renewed.

`complete` is the decision: values in, additions out, files untouched. It draws fresh keys, passwords and salts; time is
an argument. `init_secrets` is the edge around it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smtpctl.errors import SecretsError
from smtpctl.keys import certificates, dkim, scram
from smtpctl.keys.identity import create_identity, identity_path, load_identity
from smtpctl.keys.needs import account_groups, certificate_names, database_roles, dkim_keys
from smtpctl.keys.passwords import new_password
from smtpctl.keys.store import changing
from smtpctl.model.fleet import Fleet


def init_secrets(inventory: Path, fleet: Fleet, *, now: datetime | None = None) -> list[str]:
    """Make every secret of ``fleet`` that is missing, in the file beside ``inventory``, and the identity if there is
    none. Return the names made or renewed, sorted."""
    path = identity_path()
    identity = load_identity(path) if path.exists() else create_identity(path)
    with changing(inventory, identity, create=True) as values:
        made = complete(values, fleet, now or datetime.now(UTC))
        values.update(made)
    return sorted(made)


def complete(values: Mapping[str, str], fleet: Fleet, now: datetime) -> dict[str, str]:
    """Given the values that exist, return those to add or, for certificates due at ``now``, to replace."""
    made: dict[str, str] = {}
    for part in (_signing, _tls, _ledger, _accounts, _database):
        made.update(part(values, fleet, now))
    return made


def dovecot_verifier(password: str) -> str:
    """A password's verifier in Dovecot's form, under a fresh salt."""
    return scram.verifier(password, os.urandom(scram.SALT_BYTES)).for_dovecot()


def postgresql_verifier(password: str) -> str:
    """A password's verifier in PostgreSQL's form, under a fresh salt."""
    return scram.verifier(password, os.urandom(scram.SALT_BYTES)).for_postgresql()


def _signing(values: Mapping[str, str], fleet: Fleet, _now: datetime) -> Iterator[tuple[str, str]]:
    for key in dkim_keys(fleet):
        private = values.get(f"{key.name}/private")
        if private is None:
            private = dkim.new_key(key.algorithm)
            yield f"{key.name}/private", private
        elif f"{key.name}/public" in values:
            continue
        yield f"{key.name}/public", dkim.public_part(private)


def _accounts(values: Mapping[str, str], fleet: Fleet, _now: datetime) -> Iterator[tuple[str, str]]:
    for account in account_groups(fleet):
        password = values.get(f"{account}/password")
        if password is None:
            password = new_password()
            yield f"{account}/password", password
        elif f"{account}/scram" in values:
            continue
        yield f"{account}/scram", dovecot_verifier(password)


def _ledger(values: Mapping[str, str], _fleet: Fleet, _now: datetime) -> Iterator[tuple[str, str]]:
    if "ledger/lookup/keys" not in values:
        yield "ledger/lookup/keys", json.dumps({"1": os.urandom(32).hex()})
    for pair, kind in (("reading", X25519PrivateKey), ("receipts", Ed25519PrivateKey)):
        private = values.get(f"ledger/{pair}/private")
        if private is None:
            private = os.urandom(32).hex()
            yield f"ledger/{pair}/private", private
        elif f"ledger/{pair}/public" in values:
            continue
        public = kind.from_private_bytes(bytes.fromhex(private)).public_key()
        yield f"ledger/{pair}/public", public.public_bytes_raw().hex()


def _database(values: Mapping[str, str], fleet: Fleet, _now: datetime) -> Iterator[tuple[str, str]]:
    for role in database_roles(fleet):
        password = values.get(f"database/{role}/password")
        if password is None:
            password = new_password()
            yield f"database/{role}/password", password
        elif f"database/{role}/verifier" in values:
            continue
        yield f"database/{role}/verifier", postgresql_verifier(password)


def _tls(values: Mapping[str, str], fleet: Fleet, now: datetime) -> Iterator[tuple[str, str]]:
    authority = _existing_authority(values, now)
    if authority is None:
        authority = certificates.new_authority(fleet.fleet, now)
        yield "tls/ca/certificate", authority.certificate
        yield "tls/ca/key", authority.key
    for host in fleet.hosts:
        names = certificate_names(fleet, host)
        if _is_due(values, host, authority, names, now):
            if not authority.key:
                raise SecretsError(
                    f"the certificate of {host} has to be made, but tls/ca/key is missing",
                    hint="restore tls/ca/key, or make a new authority: smtpctl secrets rotate INVENTORY tls/ca",
                )
            pair = certificates.issue(authority, names, now)
            yield f"tls/{host}/certificate", pair.certificate
            yield f"tls/{host}/key", pair.key


def _existing_authority(values: Mapping[str, str], now: datetime) -> certificates.Pair | None:
    """The fleet's authority, without a key where that is kept elsewhere; None if there is none yet."""
    certificate = values.get("tls/ca/certificate")
    if certificate is None:
        return None
    try:
        ends = certificates.expires_soon(certificate, now)
    except ValueError:
        raise SecretsError("tls/ca/certificate is damaged", hint="restore the secrets file from its history") from None
    if ends:
        raise SecretsError(
            "the fleet's authority tls/ca expires within 30 days",
            hint="make a new one, and have every application trust it: smtpctl secrets rotate INVENTORY tls/ca",
        )
    return certificates.Pair(certificate, values.get("tls/ca/key", ""))


def _is_due(
    values: Mapping[str, str], host: str, authority: certificates.Pair, names: tuple[str, ...], now: datetime
) -> bool:
    certificate = values.get(f"tls/{host}/certificate")
    if certificate is None or f"tls/{host}/key" not in values:
        return True
    return bool(certificates.reason_to_renew(certificate, authority.certificate, names, now))
