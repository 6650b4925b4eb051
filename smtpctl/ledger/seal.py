"""Addresses that a host can seal and cannot open again. No database, no file: keys in, bytes out.

Subjects fall into buckets by their hash, and a bucket has a key pair (X25519). Hosts know the public halves. A host
agrees with a public key on a secret of its *session* (an ephemeral key of its own, forgotten with the process), and
draws each subject's own key from that secret and a fresh salt; ``capsule`` = ephemeral public key, salt, ciphertext.
Whoever has the bucket's private half can draw every key of the bucket again, or only some of them: that is how one
subject is forgotten and the others are kept (see ``keystore``).

Primitives: X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), keyed BLAKE2b (RFC 7693), ChaCha20-Poly1305 (RFC 8439). A key
seals one text, so its nonce is zero.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BUCKETS = 256
SALT = 12
KEY = 32
_NONCE = bytes(12)
_PURPOSE = b"smtpctl ledger subject"


def bucket_of(lookup: bytes) -> int:
    """The bucket of a subject, by its hash."""
    return int.from_bytes(lookup[:4], "big") % BUCKETS


def new_pair() -> tuple[bytes, bytes]:
    """A private key and its public half."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def public_of(private: bytes) -> bytes:
    """The public half of a private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


class Sealer:
    """Seals under public keys, by bucket; one session."""

    def __init__(self, keys: Mapping[int, tuple[int, bytes]]) -> None:
        """``keys``: bucket -> number of its key, and the public key."""
        self._keys = keys
        self._sessions: dict[int, tuple[int, bytes, bytes]] = {}

    def seal(self, lookup: bytes, text: bytes) -> tuple[int, bytes]:
        """The number of the key that it is sealed under, and the capsule. Raise KeyError: no key for the bucket."""
        number, ephemeral, secret = self._session(bucket_of(lookup))
        salt = os.urandom(SALT)
        return number, ephemeral + salt + ChaCha20Poly1305(_draw(secret, salt)).encrypt(_NONCE, text, None)

    def _session(self, bucket: int) -> tuple[int, bytes, bytes]:
        session = self._sessions.get(bucket)
        if session is None:
            number, public = self._keys[bucket]
            ephemeral = X25519PrivateKey.generate()
            shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
            own = ephemeral.public_key().public_bytes_raw()
            session = self._sessions[bucket] = number, own, _derive(shared, own + public)
        return session


def salt_of(capsule: bytes) -> bytes:
    """What tells a subject's key from others of its bucket."""
    return capsule[KEY : KEY + SALT]


def key_of(private: bytes, capsule: bytes) -> bytes:
    """The subject's own key, drawn with the bucket's private key."""
    return _draw(_secret_of(private, capsule[:KEY]), salt_of(capsule))


def open_capsule(key: bytes, capsule: bytes) -> bytes | None:
    """What a capsule holds, given the subject's own key; None when that is not its key."""
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, capsule[KEY + SALT :], None)
    except InvalidTag:
        return None


def seal_for(public: bytes, text: bytes) -> bytes:
    """``text`` for whoever has the private half of ``public``."""
    ephemeral = X25519PrivateKey.generate()
    own = ephemeral.public_key().public_bytes_raw()
    key = _derive(ephemeral.exchange(X25519PublicKey.from_public_bytes(public)), own + public)
    return own + ChaCha20Poly1305(key).encrypt(_NONCE, text, None)


def open_with(private: bytes, sealed: bytes) -> bytes | None:
    """What ``seal_for`` sealed; None when it was for somebody else."""
    try:
        return ChaCha20Poly1305(_secret_of(private, sealed[:KEY])).decrypt(_NONCE, sealed[KEY:], None)
    except InvalidTag:
        return None


@lru_cache(maxsize=4096)
def _secret_of(private: bytes, ephemeral: bytes) -> bytes:
    """The secret of a session, seen from the private key's side."""
    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(ephemeral))
    return _derive(shared, ephemeral + public_of(private))


def _derive(shared: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY, salt, _PURPOSE).derive(shared)


def _draw(secret: bytes, salt: bytes) -> bytes:
    return hashlib.blake2b(salt, key=secret, digest_size=KEY).digest()
