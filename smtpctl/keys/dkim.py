"""DKIM key pairs: RSA-2048 (RFC 6376, RFC 8301) and Ed25519 (RFC 8463). Private keys are PEM, PKCS#8, unencrypted."""

from __future__ import annotations

import base64
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from smtpctl.errors import SecretsError

Algorithm = Literal["rsa", "ed25519"]
PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

#: Signers use at least 1024 bits, should use 2048 (RFC 8301 §3.2); longer keys do not fit one DNS answer well.
RSA_BITS = 2048


def new_key(algorithm: Algorithm) -> str:
    """A new private key as PEM."""
    key: PrivateKey
    if algorithm == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return _pem(key)


def public_part(private_pem: str) -> str:
    """Given a private key, return what stands in the record's ``p=``: for RSA the SubjectPublicKeyInfo, as everybody
    publishes and reads it (RFC 6376 erratum 3017); for Ed25519 the 32 bytes alone (RFC 8463 §4.2)."""
    key = serialization.load_pem_private_key(private_pem.encode(), password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        octets = key.public_key().public_bytes_raw()
    else:
        octets = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return base64.b64encode(octets).decode("ascii")


def imported_key(name: str, pem: str, algorithm: Algorithm) -> str:
    """Given a key made elsewhere, return it as PKCS#8. Raise SecretsError, which does not repeat it, if it is not a
    private key of that algorithm, or an RSA key shorter than 2048 bits."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretsError(f"{name}: not an unencrypted private key in PEM form") from None
    if algorithm == "rsa" and isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < RSA_BITS:
            raise SecretsError(f"{name}: an RSA key of {key.key_size} bits, the least is {RSA_BITS}")
        return _pem(key)
    if algorithm == "ed25519" and isinstance(key, ed25519.Ed25519PrivateKey):
        return _pem(key)
    raise SecretsError(
        f"{name}: the key is not an {algorithm} one", hint="the inventory's selectors say which is which"
    )


def _pem(key: PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
