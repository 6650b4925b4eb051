"""Who the lab's internet is believed by: its certificate authority, its providers' certificates, its DNSSEC key.

All are made once and kept in the state folder's keys, so that trust given before `down` holds after the next `up`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import dns.dnssec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from dns.dnssectypes import Algorithm
from dns.rdtypes.dnskeybase import Flag

from smtpctl.lab.identities import write_private
from smtpctl.lab.internet.providers import PROVIDERS
from smtpctl.lab.state import StateFolder

LIFETIME = datetime.timedelta(days=3650)
AUTHORITY_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smtpctl lab")])


def ensure_internet(state: StateFolder) -> None:
    """Make what is missing: authority, a certificate for every provider, the root zone's key and its trust anchor."""
    state.provider_chain("").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority_key = _ensure_key(state.authority_key)
    if not state.authority.exists():
        certificate = _certificate(AUTHORITY_NAME, authority_key, AUTHORITY_NAME, authority_key, authority=True)
        state.authority.write_bytes(certificate.public_bytes(Encoding.PEM))
    for provider in PROVIDERS:
        chain = state.provider_chain(provider.name)
        if not chain.exists():
            key = generate_private_key(SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, provider.mail_host)])
            certificate = _certificate(subject, key, AUTHORITY_NAME, authority_key, names=(provider.mail_host,))
            write_private(chain, _pem(key) + certificate.public_bytes(Encoding.PEM) + state.authority.read_bytes())
    state.trust_anchor.write_text(trust_anchor(_ensure_key(state.zone_key)))


def provider_certificates(state: StateFolder) -> Mapping[str, x509.Certificate]:
    """Certificate of every provider, by its name."""
    return {
        provider.name: x509.load_pem_x509_certificate(state.provider_chain(provider.name).read_bytes())
        for provider in PROVIDERS
    }


def trust_anchor(key: EllipticCurvePrivateKey) -> str:
    """The root zone's DNSKEY record, in the form that unbound's trust-anchor-file reads.

    One key signs keys and zone alike (a combined signing key): flags ZONE and SEP, algorithm 13 (RFC 6605).
    """
    record = dns.dnssec.make_dnskey(key.public_key(), Algorithm.ECDSAP256SHA256, int(Flag.ZONE | Flag.SEP))
    return f". 3600 IN DNSKEY {record.to_text()}\n"


def _ensure_key(path: Path) -> EllipticCurvePrivateKey:
    if not path.exists():
        write_private(path, _pem(generate_private_key(SECP256R1())))
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key")
    return key


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: x509.Name,
    key: EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())
