"""Every record that a fleet needs, from its inventory and the public halves of its keys. Pure and deterministic."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from smtpctl.dns.record import Record, quoted
from smtpctl.dns.spf import HELO_TEXT, spf_texts
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.secrets import Secrets

TTL = 3600

#: Local parts, at the feedback domain, that reports come to; the feedback role accepts them.
DMARC_REPORTS = "dmarc-reports"
TLS_REPORTS = "tls-reports"


def records_for(fleet: Fleet, secrets: Secrets) -> tuple[Record, ...]:
    """Given a fleet and its secrets (only public keys are read), return all its records, sorted, none twice."""
    parts = (
        _addresses(fleet),
        _reverse_names(fleet),
        _mail_exchangers(fleet),
        _senders(fleet),
        _signing_keys(fleet, secrets),
        _dmarc(fleet),
        _tls_reports(fleet),
    )
    return tuple(sorted({record for part in parts for record in part}, key=Record.order))


def _addresses(fleet: Fleet) -> Iterator[Record]:
    """Hosts, HELO names, and the name that applications submit to."""
    for name, host in fleet.hosts.items():
        yield _address(fleet.host_name(name), host.address)
        for source in host.sources:
            yield _address(source.helo, source.address)
    if fleet.balancing.virtual_address:
        yield _address(fleet.balancing.name, _virtual_address(fleet))
    else:
        for host in fleet.hosts_with(Role.BALANCER).values():
            yield _address(fleet.balancing.name, host.address)


def _reverse_names(fleet: Fleet) -> Iterator[Record]:
    """One name an address: the HELO name where mail leaves from it, as receivers compare the two (RFC 1912 §2.1)."""
    names = {host.address: fleet.host_name(name) for name, host in fleet.hosts.items()}
    if fleet.balancing.virtual_address:
        names.setdefault(_virtual_address(fleet), fleet.balancing.name)
    names |= {source.address: source.helo for host in fleet.hosts.values() for source in host.sources}
    for address, name in names.items():
        yield Record(f"{ipaddress.ip_address(address).reverse_pointer}.", TTL, "PTR", f"{name}.")


def _mail_exchangers(fleet: Fleet) -> Iterator[Record]:
    """The feedback hosts, in the inventory's order, for every domain that the fleet receives for."""
    for domain in fleet.received_domains():
        for position, host in enumerate(fleet.hosts_with(Role.FEEDBACK), 1):
            yield Record(f"{domain}.", TTL, "MX", f"{position * 10} {fleet.host_name(host)}.")


def _senders(fleet: Fleet) -> Iterator[Record]:
    """SPF: all sources of all pools for sending and bounce domains; for a HELO name its own addresses.

    A name has one SPF record (RFC 7208 §3.2), so a HELO name that is also such a domain has the wider one.
    """
    texts = spf_texts((source.address for pool in fleet.pools for _, source in fleet.sources_of(pool)), _owner(fleet))
    shared = texts.pop("")
    texts |= {source.helo: HELO_TEXT for host in fleet.hosts.values() for source in host.sources}
    for domain, sending in fleet.domains.sending.items():
        texts |= {domain: shared, sending.bounce: shared}
    for name, text in texts.items():
        yield _text(name, text)


def _signing_keys(fleet: Fleet, secrets: Secrets) -> Iterator[Record]:
    """DKIM (RFC 6376 §3.6.1, RFC 8463 §4.2): both keys of every sending domain."""
    for domain, sending in fleet.domains.sending.items():
        for selector, algorithm in ((sending.dkim.rsa, "rsa"), (sending.dkim.ed25519, "ed25519")):
            public = secrets[f"dkim/{domain}/{selector}/public"]
            yield _text(f"{selector}._domainkey.{domain}", f"v=DKIM1; k={algorithm}; p={public}")


def _dmarc(fleet: Fleet) -> Iterator[Record]:
    """The policy (RFC 7489 §6.3), and the feedback domain's consent to receive its reports (§7.1)."""
    feedback = fleet.domains.feedback
    for domain, sending in fleet.domains.sending.items():
        yield _text(f"_dmarc.{domain}", f"v=DMARC1; p={sending.dmarc}; rua=mailto:{DMARC_REPORTS}@{feedback}")
        if not f".{feedback}".endswith(f".{domain}"):
            yield _text(f"{domain}._report._dmarc.{feedback}", "v=DMARC1;")


def _tls_reports(fleet: Fleet) -> Iterator[Record]:
    """Where senders report failed TLS towards our mail exchangers (RFC 8460 §3)."""
    for domain in fleet.received_domains():
        yield _text(f"_smtp._tls.{domain}", f"v=TLSRPTv1; rua=mailto:{TLS_REPORTS}@{fleet.domains.feedback}")


def _owner(fleet: Fleet) -> str:
    return fleet.domains.infrastructure


def _virtual_address(fleet: Fleet) -> str:
    return str(fleet.balancing.virtual_address).split("/")[0]


def _address(name: str, address: str) -> Record:
    return Record(f"{name}.", TTL, "A" if ipaddress.ip_address(address).version == 4 else "AAAA", address)


def _text(name: str, text: str) -> Record:
    return Record(f"{name}.", TTL, "TXT", quoted(text))
