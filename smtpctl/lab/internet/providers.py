"""The mailbox providers of the lab's internet, as values: who receives for which domain, at which address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """One mailbox provider: a mail server at ``address`` that receives for ``domains``; the first names it.

    ``dane``: it publishes TLSA records (RFC 7672), so a sender that looks will insist on its certificate.
    """

    domains: tuple[str, ...]
    address: str
    dane: bool = False

    @property
    def name(self) -> str:
        return self.domains[0]

    @property
    def mail_host(self) -> str:
        """The name its MX records point to, which its server says and its certificate carries."""
        return f"mx.{self.name}"

    @property
    def short_name(self) -> str:
        """How its lines are marked in the internet host's log: postfix/SHORT-NAME."""
        return self.name.partition(".")[0]


#: company.test has its mail hosted at gmail.test: known by where its MX points, not by its domain.
PROVIDERS = (
    Provider(("gmail.test", "googlemail.test", "company.test"), "10.78.1.1"),
    Provider(("outlook.test", "hotmail.test", "live.test"), "10.78.1.2"),
    Provider(("yahoo.test", "ymail.test"), "10.78.1.3", dane=True),
    Provider(("gmx.test", "web.test"), "10.78.1.4", dane=True),
)


def provider_domains() -> tuple[str, ...]:
    """Every domain that some provider receives for."""
    return tuple(domain for provider in PROVIDERS for domain in provider.domains)
