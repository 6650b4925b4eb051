"""Certificates against their key, their names, their dates and the fleet's authority.

A server starts with a certificate that is expired or names another host; it is its clients that turn away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from smtpctl.model.faults import Fault
from smtpctl.render.rules.signing import PLACEHOLDER
from smtpctl.render.rules.view import HostView

AUTHORITY = "/etc/smtpctl/ca.pem"
REMEDY = "make it anew: smtpctl secrets rotate, then apply"


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate that a server shows: its file, its key's file, the file that names it, and names it has to have."""

    certificate: str
    key: str
    named_in: str
    names: tuple[str, ...] = ()


def unfit(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Certificates that are missing, do not fit, or that a client would refuse now."""
    for use in (*_of_postfix(view), *_of_dovecot(view), *_of_postgresql(view)):
        lacking = [path for path in (use.certificate, use.key) if path not in view.files]
        for path in dict.fromkeys(lacking):
            yield Fault(use.named_in, f"names {path}, and nothing renders that file", f"add a template for {path}")
        contents = [] if lacking else [view.files[path].content for path in (use.certificate, use.key)]
        if contents and not any(PLACEHOLDER in content for content in contents):
            problem = _problem(view, use, now)
            if problem:
                yield Fault(use.certificate, problem, REMEDY)


def _of_postfix(view: HostView) -> Iterator[Use]:
    for instance in view.instances:
        names = tuple(
            dict.fromkeys(
                name for name in (instance.value("myhostname"), _banner_name(instance.value("smtpd_banner"))) if name
            )
        )
        for path in instance.value("smtpd_tls_chain_files").replace(",", " ").split():
            yield Use(path, path, instance.main, names)
        if certificate := instance.value("smtpd_tls_cert_file"):
            yield Use(certificate, instance.value("smtpd_tls_key_file") or certificate, instance.main, names)


def _banner_name(banner: str) -> str:
    name = banner.partition(" ")[0]
    return name if "." in name and "$" not in name else ""


def _of_dovecot(view: HostView) -> Iterator[Use]:
    for path, top in view.dovecots.items():
        if certificate := top.settings.get("ssl_server_cert_file"):
            yield Use(certificate, top.settings.get("ssl_server_key_file", certificate), path)


def _of_postgresql(view: HostView) -> Iterator[Use]:
    """Clients ask for the name that their own settings have (``verify-full``)."""
    for path in view.files:
        if path.startswith("/etc/postgresql/") and path.endswith("/smtpctl.conf"):
            settings = dict(line.partition(" = ")[::2] for line in view.text(path).splitlines())
            certificate, key = (settings.get(f"ssl_{part}_file", "").strip("'") for part in ("cert", "key"))
            if certificate and key:
                yield Use(certificate, key, path, _database_names(view))


def _database_names(view: HostView) -> tuple[str, ...]:
    path = "/etc/smtpctl/shipper.json"
    if path not in view.files:
        return ()
    try:
        name = json.loads(view.text(path))["database"]["host"]
    except (ValueError, KeyError):
        return ()
    return (str(name),)


def _problem(view: HostView, use: Use, now: datetime) -> str:
    try:
        chain = x509.load_pem_x509_certificates(view.files[use.certificate].content)
    except ValueError:
        return "holds no certificate that can be read"
    leaf = chain[0]
    try:
        key = load_pem_private_key(view.files[use.key].content, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        return f"its private key in {use.key} cannot be read"
    if _public(key.public_key()) != _public(leaf.public_key()):
        return f"the certificate and the private key in {use.key} do not belong together"
    return _out_of_date(leaf, now) or _misnamed(leaf, use.names) or _untrusted(view, chain)


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _out_of_date(leaf: x509.Certificate, now: datetime) -> str:
    if now >= leaf.not_valid_after_utc:
        return f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
    if now < leaf.not_valid_before_utc:
        return f"the certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def _misnamed(leaf: x509.Certificate, names: tuple[str, ...]) -> str:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "the certificate names no host"
    known = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
    for name in names:
        if name.lower() not in known and f"*.{name.lower().partition('.')[2]}" not in known:
            return f"the certificate is not for {name}; it names {', '.join(sorted(known)) or 'no host'}"
    return ""


def _untrusted(view: HostView, chain: list[x509.Certificate]) -> str:
    """Whether the fleet's authority signed it: submission hosts, shippers and daemons trust no other."""
    if AUTHORITY not in view.files or PLACEHOLDER in view.files[AUTHORITY].content:
        return ""
    try:
        authorities = x509.load_pem_x509_certificates(view.files[AUTHORITY].content)
    except ValueError:
        return f"the fleet's authority in {AUTHORITY} cannot be read"
    for authority in authorities:
        try:
            chain[0].verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ""
    return f"the certificate was not issued by the fleet's authority in {AUTHORITY}"
