"""Mailbox providers: a recipient domain belongs to one of them, and their names can name transports."""

from __future__ import annotations

import re
from typing import Literal

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding
from smtpctl.model.fleet import Fleet

#: Holds the limits for every domain that no other provider names.
DEFAULT = "default"

_LIKE_A_TRANSPORT = re.compile(r".*-[0-9]+")


@reads("providers")
def a_provider_name_can_name_transports(fleet: Fleet) -> Findings:
    """The name of a provider does not end in `-NUMBER`: that is how its transports are called (`google-1`)."""
    for name in fleet.providers:
        if _LIKE_A_TRANSPORT.fullmatch(name):
            message = f"a provider cannot be called {name!r}: it reads like a transport of another one"
            hint = "the transport of the first source address of provider NAME is NAME-1: drop the number"
            yield Finding(("providers", name), message, hint, at_key=True)


@reads("providers")
def a_domain_has_one_provider(fleet: Fleet) -> Findings:
    """A recipient domain, or a domain of MX hosts, stands with one provider, once."""
    fields: tuple[Literal["domains", "mx"], ...] = ("domains", "mx")
    for field in fields:
        first: dict[str, str] = {}
        for name, provider in fleet.providers.items():
            for index, domain in enumerate(getattr(provider, field)):
                if domain in first:
                    path = ("providers", name, field, index)
                    again = "twice" if first[domain] == name else f"with provider {first[domain]!r} already"
                    yield Finding(path, f"{domain} stands {again} under {field}", "leave it with one of them")
                first.setdefault(domain, name)


@reads("providers")
def a_provider_can_be_recognised(fleet: Fleet) -> Findings:
    """A provider has recipient domains or domains of MX hosts; `default` has none, because it is all the others."""
    for name, provider in fleet.providers.items():
        named = bool(provider.domains or provider.mx)
        if name == DEFAULT and named:
            message = "provider 'default' stands for every domain that no other provider names, and has none itself"
            yield Finding(("providers", name), message, "give these domains a provider of their own", at_key=True)
        if name != DEFAULT and not named:
            hint = "give it domains, or mx, or both"
            yield Finding(("providers", name), f"nothing is recognised as provider {name!r}", hint, at_key=True)


CHECKS = (a_provider_name_can_name_transports, a_domain_has_one_provider, a_provider_can_be_recognised)
