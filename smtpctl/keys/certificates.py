"""The fleet's own certificate authority and the certificates of its hosts (RFC 5280). Pure but for making keys.

Host certificates serve both sides of a connection: submission to applications, PostgreSQL to the shippers, and a
relay's client side. Time is an argument everywhere.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3653)
#: The longest life that Apple's clients accept of a certificate under a private authority.
HOST_LIFETIME = timedelta(days=825)
#: A certificate with less left is made anew.
RENEW_BEFORE = timedelta(days=30)
#: A host whose clock is behind must accept a certificate that was made a moment ago.
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


def new_authority(fleet: str, now: datetime) -> Pair:
    """A self-signed authority for ten years; it signs host certificates only (no authority below it)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(f"smtpctl authority of {fleet}")
    builder = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(_certificate_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(authority: Pair, names: tuple[str, ...], now: datetime) -> Pair:
    """A certificate for ``names`` (DNS names and addresses; the first is the subject), followed by its authority's.

    It never outlives its authority.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + HOST_LIFETIME, issuer.not_valid_after_utc)
    builder = (
        _builder(_subject(names[0]), issuer.subject, key.public_key(), now, until)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    leaf = builder.sign(_signing_key(authority), hashes.SHA256())
    return Pair(_certificate_pem(leaf) + authority.certificate, _key_pem(key))


def reason_to_renew(certificate: str, authority: str, names: tuple[str, ...], now: datetime) -> str:
    """Why a host's certificate has to be made anew, or an empty text."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        named = subject_names(leaf)
    except (ValueError, x509.ExtensionNotFound):
        return "it is damaged"
    if named != frozenset(names):
        return "its names changed"
    if expires_soon(certificate, now):
        return "it expires soon"
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (InvalidSignature, ValueError):
        return "its authority changed"
    return ""


def expires_soon(certificate: str, now: datetime) -> bool:
    """Whether less than 30 days are left of the (first) certificate."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc - now < RENEW_BEFORE


def subject_names(certificate: x509.Certificate) -> frozenset[str]:
    """Its subject alternative names: DNS names and addresses."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return frozenset(names.get_values_for_type(x509.DNSName)) | {str(address) for address in addresses}


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(common_name: str) -> x509.Name:
    # RFC 5280 ends a common name at 64 characters; clients look at the alternative names only (RFC 9525).
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _signing_key(authority: Pair) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve one")
    return key


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
