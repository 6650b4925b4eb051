"""Receipts of what was done for a person, signed (Ed25519, RFC 8032). Pure."""

from __future__ import annotations

import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def signed(statement: dict[str, Any], private: bytes) -> dict[str, Any]:
    """``statement`` with the signature of its canonical form, and the public key that proves it."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    return {
        "statement": statement,
        "key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(_canonical(statement)).hex(),
    }


def is_genuine(receipt: dict[str, Any], public: bytes) -> bool:
    """Whether a receipt was signed with the private half of ``public`` and says what it said then."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(bytes.fromhex(receipt["signature"]), _canonical(receipt["statement"]))
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True


def _canonical(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
