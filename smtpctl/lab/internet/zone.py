"""The one zone of the lab's DNS: the root, holding everything. A name that is not in it does not exist. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smtpctl.dns import Record, zone_lines
from smtpctl.lab.addresses import INTERNET_ADDRESS, reverse_name
from smtpctl.lab.internet.providers import PROVIDERS, Provider

#: Short, so that a change is seen at once; the last number of the SOA says how long a missing name stays missing.
TTL = 60
NAME_SERVER = "ns.root.test."
START = f"{NAME_SERVER} hostmaster.root.test. 1 3600 600 86400 5"

#: The internet host's own mail name: non-delivery reports come from it.
MAIL_NAME = "mx.internet.test"


def root_zone(hosts: Mapping[str, str], certificates: Mapping[str, x509.Certificate], fleet: Iterable[Record]) -> str:
    """The zone as a master file: the world, and the records of the fleet in its place.

    ``hosts`` maps full names to addresses; ``certificates`` has one for each provider's name.
    """
    world = (*_apex(), *_hosts(hosts), *_providers(certificates))
    return zone_lines(in_place(world, fleet))


def in_place(lower: Iterable[Record], upper: Iterable[Record]) -> tuple[Record, ...]:
    """All of ``upper``, and of ``lower`` what has another name or type."""
    winners = tuple(upper)
    taken = {(record.name, record.type) for record in winners}
    return (*(record for record in lower if (record.name, record.type) not in taken), *winners)


def _apex() -> Iterator[Record]:
    yield Record(".", TTL, "SOA", START)
    yield Record(".", TTL, "NS", NAME_SERVER)
    yield Record(NAME_SERVER, TTL, "A", INTERNET_ADDRESS)


def _hosts(hosts: Mapping[str, str]) -> Iterator[Record]:
    for name, address in hosts.items():
        yield Record(f"{name}.", TTL, "A", address)
        if address != INTERNET_ADDRESS:
            yield Record(reverse_name(address), TTL, "PTR", f"{name}.")
    yield from _mail_server(MAIL_NAME, INTERNET_ADDRESS)


def _providers(certificates: Mapping[str, x509.Certificate]) -> Iterator[Record]:
    for provider in PROVIDERS:
        yield from _mail_server(provider.mail_host, provider.address)
        for domain in provider.domains:
            yield Record(f"{domain}.", TTL, "MX", f"10 {provider.mail_host}.")
            yield Record(f"{domain}.", TTL, "TXT", f'"v=spf1 ip4:{provider.address} -all"')
        if provider.dane:
            yield _tlsa(provider, certificates[provider.name])


def _mail_server(name: str, address: str) -> Iterator[Record]:
    yield Record(f"{name}.", TTL, "A", address)
    yield Record(f"{name}.", TTL, "TXT", '"v=spf1 a -all"')
    yield Record(reverse_name(address), TTL, "PTR", f"{name}.")


def _tlsa(provider: Provider, certificate: x509.Certificate) -> Record:
    """DANE-EE over the public key: 3 1 1, the form that RFC 7672 §3.1 asks for."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Record(f"_25._tcp.{provider.mail_host}.", TTL, "TLSA", f"3 1 1 {hashlib.sha256(key).hexdigest()}")
