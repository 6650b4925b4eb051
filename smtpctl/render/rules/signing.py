"""Every address that OpenDKIM signs for has a key, and the key is of the algorithm that its instance signs with.

OpenDKIM starts without complaint where a key is missing, and then refuses or passes on unsigned what it cannot sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from smtpctl.model.faults import Fault
from smtpctl.render.rules.view import HostView

#: What an inventory without its secrets renders in a secret's place.
PLACEHOLDER = b"PLACEHOLDER("

#: Verifiers need not accept shorter keys (RFC 8301 section 3.2).
SHORTEST_RSA = 1024


def without_keys(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Entries of signing tables whose key is not in the key table, and keys that are missing or of the wrong kind."""
    for path in view.files:
        if path.startswith("/etc/opendkim/") and path.endswith(".conf"):
            settings = dict(re.findall(r"^(\w+)[ \t]+(.+?)[ \t]*$", view.text(path), re.MULTILINE))
            yield from _of_instance(view, path, settings)


def _of_instance(view: HostView, path: str, settings: Mapping[str, str]) -> Iterator[Fault]:
    tables = {name: settings.get(name, "").rpartition(":")[2] for name in ("SigningTable", "KeyTable")}
    for name, table in tables.items():
        if table not in view.files:
            yield Fault(
                path, f"{name} is {table or 'not set'}, which nothing renders", f"name a table that is there in {name}"
            )
            return
    keys = {words[0]: (number, words[1]) for number, words in _rows(view, tables["KeyTable"])}
    for number, (address, name, *_) in _rows(view, tables["SigningTable"]):
        if name not in keys:
            yield Fault(
                tables["SigningTable"],
                f"line {number}: {address} is signed with the key {name}, which {tables['KeyTable']} does not have",
                f"add {name} to the key table, or take the line away",
            )
    for number, value in keys.values():
        yield from _key(view, tables["KeyTable"], number, value, settings.get("SignatureAlgorithm", "rsa-sha256"))


def _rows(view: HostView, table: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(view.text(table).splitlines(), start=1):
        words = line.split()
        if len(words) >= 2 and not words[0].startswith("#"):
            yield number, words


def _key(view: HostView, table: str, number: int, value: str, algorithm: str) -> Iterator[Fault]:
    parts = value.split(":", 2)
    key = parts[2] if len(parts) == 3 else ""
    if key not in view.files:
        yield Fault(
            table,
            f"line {number}: the key file {key or value} is not there",
            "name a key that is rendered, as DOMAIN:SELECTOR:FILE",
        )
        return
    content = view.files[key].content
    if PLACEHOLDER in content:
        return
    if problem := _unfit(content, algorithm):
        yield Fault(key, problem, "make the key anew: smtpctl secrets rotate")


def _unfit(content: bytes, algorithm: str) -> str:
    try:
        key = load_pem_private_key(content, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        return "is not a private key"
    if algorithm.startswith("rsa"):
        if not isinstance(key, RSAPrivateKey):
            return f"is no RSA key, and its instance signs with {algorithm}"
        return (
            f"has {key.key_size} bits; verifiers refuse less than {SHORTEST_RSA}" if key.key_size < SHORTEST_RSA else ""
        )
    return "" if isinstance(key, Ed25519PrivateKey) else f"is no Ed25519 key, and its instance signs with {algorithm}"
