"""Ask a name server for records. Edge: network. Every question ends in time, in an answer or in the reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import dns.resolver

from smtpctl.dns.check import Answer, Question
from smtpctl.errors import SmtpctlError

#: Questions under way at once; public resolvers limit clients that send more.
AT_ONCE = 16
SECONDS = 5.0


def published(
    asked: Iterable[Question], *, server: str | None = None, port: int = 53, seconds: float = SECONDS
) -> dict[Question, Answer]:
    """Given questions, return the answer to each, from ``server`` or from the system's resolver, within ``seconds``."""
    resolver = _resolver(server, port, seconds)
    asked = tuple(asked)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(asked, pool.map(lambda question: _answer(resolver, question), asked), strict=True))


def _resolver(server: str | None, port: int, seconds: float) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=server is None)
        if server:
            resolver.nameservers = [server]
    except (dns.resolver.NoResolverConfiguration, ValueError) as error:
        raise SmtpctlError(
            f"no name server to ask: {error}", hint="name one by its address: --server 192.0.2.53"
        ) from None
    resolver.port = port
    resolver.lifetime = seconds
    return resolver


def _answer(resolver: dns.resolver.Resolver, question: Question) -> Answer:
    name, kind = question
    try:
        answer = resolver.resolve(name, kind, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except dns.exception.DNSException as error:
        return str(error)
    return tuple(sorted(rdata.to_text() for rdata in answer))
