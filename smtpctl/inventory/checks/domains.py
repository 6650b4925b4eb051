"""Domains and names: which domain lies below which, and that a name means one thing."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding, Path
from smtpctl.model.fleet import Fleet


def is_below(name: str, domain: str) -> bool:
    """Whether ``name`` lies below ``domain``, and is not ``domain`` itself."""
    return name.endswith(f".{domain}")


@reads("domains")
def a_bounce_domain_is_below_its_sending_domain(fleet: Fleet) -> Findings:
    """The bounce domain of a sending domain lies below it, so that SPF aligns for DMARC (RFC 7489 §3.1.2)."""
    for name, domain in fleet.domains.sending.items():
        path = ("domains", "sending", name, "bounce")
        if domain.bounce == name:
            hint = f"take a domain below it, such as bounce.{name}: its MX is the feedback role, not your mailboxes"
            yield Finding(path, f"bounce domain {domain.bounce} is the sending domain itself", hint)
        elif not is_below(domain.bounce, name):
            hint = f"take a domain below it, such as bounce.{name}: else SPF does not align for DMARC"
            yield Finding(path, f"bounce domain {domain.bounce} is not below {name}", hint)


@reads("domains")
def a_domain_has_one_purpose(fleet: Fleet) -> Findings:
    """A domain is a sending domain, or a bounce domain of one of them, or the feedback domain: only one of these.

    The feedback domain is not the infrastructure domain either, where postmaster@ must reach a person."""
    purposes: dict[str, str] = {fleet.domains.infrastructure: "the infrastructure domain"}
    for name in fleet.domains.sending:
        purposes[name] = "a sending domain"
    for name, domain in fleet.domains.sending.items():
        path: Path = ("domains", "sending", name, "bounce")
        if domain.bounce in purposes and domain.bounce != name:
            message = f"bounce domain {domain.bounce} of {name} is also {purposes[domain.bounce]}"
            yield Finding(path, message, f"take one of its own, such as bounce.{name}")
        purposes.setdefault(domain.bounce, f"the bounce domain of {name}")
    if fleet.domains.feedback in purposes:
        message = f"feedback domain {fleet.domains.feedback} is also {purposes[fleet.domains.feedback]}"
        hint = f"take one of its own, such as feedback.{fleet.domains.infrastructure}"
        yield Finding(("domains", "feedback"), message, hint)


@reads("domains")
def selectors_differ(fleet: Fleet) -> Findings:
    """The two DKIM selectors of a sending domain differ: each names one key record (RFC 6376 §3.1)."""
    for name, domain in fleet.domains.sending.items():
        if domain.dkim.rsa == domain.dkim.ed25519:
            path = ("domains", "sending", name, "dkim", "ed25519")
            message = f"selector {domain.dkim.rsa!r} of {name} stands for two keys"
            yield Finding(path, message, "give the RSA and the Ed25519 key a selector each, such as r1 and e1")


@reads("domains", "balancing", "hosts")
def the_service_name_is_its_own(fleet: Fleet) -> Findings:
    """`balancing.name` lies below the infrastructure domain and is not the name of a host."""
    name, path = fleet.balancing.name, ("balancing", "name")
    if not is_below(name, fleet.domains.infrastructure):
        hint = f"take a name such as smtp.{fleet.domains.infrastructure}"
        yield Finding(path, f"{name} is not below {fleet.domains.infrastructure}, the infrastructure domain", hint)
    for host in fleet.hosts:
        if fleet.host_name(host) == name:
            hint = "hosts and the service need an address record each: rename one"
            yield Finding(path, f"{name} is also the name of host {host!r}", hint)


@reads("domains", "balancing", "hosts")
def a_helo_name_is_the_fleets(fleet: Fleet) -> Findings:
    """A HELO name lies below the infrastructure domain or a sending domain, and names one source address only: its
    address record and the PTR of the address point at each other (RFC 5321 §4.1.1.1)."""
    domains = (fleet.domains.infrastructure, *fleet.domains.sending)
    taken = {fleet.host_name(host): f"the name of host {host!r}" for host in fleet.hosts}
    taken[fleet.balancing.name] = "the name of the service"
    for name, host in fleet.hosts.items():
        for index, source in enumerate(host.sources):
            path = ("hosts", name, "sources", index, "helo")
            if not any(is_below(source.helo, domain) for domain in domains):
                hint = f"take a name below {fleet.domains.infrastructure} or a sending domain"
                yield Finding(path, f"HELO name {source.helo} is outside the fleet's domains", hint)
            if source.helo in taken:
                hint = "give each source address a HELO name of its own"
                yield Finding(path, f"HELO name {source.helo} is also {taken[source.helo]}", hint)
            taken.setdefault(source.helo, f"the HELO name of {source.address}")


CHECKS = (
    a_bounce_domain_is_below_its_sending_domain,
    a_domain_has_one_purpose,
    selectors_differ,
    the_service_name_is_its_own,
    a_helo_name_is_the_fleets,
)
