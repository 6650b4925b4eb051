"""Which transport a recipient takes: its domain's provider, and one of the pool's source addresses there. Pure.

The provider is the one that the table names for the domain; else the one whose mail hosts the domain uses, as far as
that has been learnt: a company domain hosted at Google shares Google's limits.

The source is chosen by weight from a hash of the recipient's address: an address keeps its source, so that a provider
which greylists sees the retry come from where the first try came.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from policy_service.ruleset import RulesError

VERSION = 1
MAP_PREFIX = "route-"

_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Pool:
    """The transports of a pool: ``PROVIDER-1`` to ``PROVIDER-N`` for the host's N sources. ``bounds`` sums weights."""

    bounds: tuple[int, ...]
    #: The addresses of the sources, in their order; none where the file does not say.
    addresses: tuple[str, ...] = ()

    def source(self, recipient: str) -> int:
        """The number, from 1, of the source that serves ``recipient``."""
        digest = hashlib.blake2b(recipient.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return bisect_right(self.bounds, int.from_bytes(digest, "big") % self.bounds[-1]) + 1


@dataclass(frozen=True, slots=True)
class Routing:
    """Providers by recipient domain and by the domains of their mail hosts, and pools by name."""

    providers: Mapping[str, str]
    exchanges: Mapping[str, str]
    default: str
    pools: Mapping[str, Pool]

    def transport(self, map_name: str, key: str, exchange_of: Callable[[str], str]) -> str | None:
        """The transport for an address, or None: an unknown map, the wildcard, or no address.

        ``exchange_of`` says where a domain takes its mail, as far as that is known, without waiting.
        """
        pool = self._pool(map_name)
        local, at, domain = key.rpartition("@")
        if pool is None or not at or not local or not domain:
            return None
        return f"{self.provider(domain, exchange_of)}-{pool.source(key.lower())}"

    def provider(self, domain: str, exchange_of: Callable[[str], str]) -> str:
        """The provider of a recipient domain."""
        domain = domain.lower()
        return self.providers.get(domain) or self.provider_at(exchange_of(domain))

    def provider_at(self, exchange: str) -> str:
        """The provider whose mail host ``exchange`` is: the longest of the domains above it counts."""
        while exchange:
            if provider := self.exchanges.get(exchange):
                return provider
            exchange = exchange.partition(".")[2]
        return self.default

    def pool_name(self, map_name: str) -> str:
        """The pool that a map speaks of, or nothing."""
        if map_name == "route" and len(self.pools) == 1:
            return next(iter(self.pools))
        return map_name.removeprefix(MAP_PREFIX) if map_name.startswith(MAP_PREFIX) else ""

    def _pool(self, map_name: str) -> Pool | None:
        return self.pools.get(self.pool_name(map_name))


def parse(text: str | bytes) -> Routing:
    """Given the content of a routing file, return its values. Raise RulesError with every problem of it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError([f"not JSON: {error}"]) from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise RulesError([f"version is not {VERSION}, the version this service reads"])
    problems: list[str] = []
    named = document.get("providers")
    if not isinstance(named, dict):
        problems.append("providers: must be an object")
        named = {}
    providers = _providers(named, "domains", problems)
    exchanges = _providers(named, "mx", problems)
    pools = _pools(document.get("pools"), problems)
    default = document.get("default")
    if not isinstance(default, str) or not _NAME.fullmatch(default):
        problems.append(f"default: {default!r} is not the name of a provider")
    if problems:
        raise RulesError(problems)
    return Routing(providers, exchanges, str(default), pools)


def _providers(value: dict[str, Any], member: str, problems: list[str]) -> dict[str, str]:
    """Providers by the domains that ``member`` lists: their recipients' domains, or those of their mail hosts."""
    by_domain: dict[str, str] = {}
    for name, provider in value.items():
        listed = provider.get(member, []) if isinstance(provider, dict) else None
        if not _NAME.fullmatch(name) or not isinstance(listed, list):
            problems.append(f"providers.{name}: must be a name with an object that lists {member}")
            continue
        for domain in listed:
            if by_domain.setdefault(str(domain).lower(), name) != name:
                problems.append(
                    f"providers.{name}.{member}: {domain} belongs to {by_domain[str(domain).lower()]} already"
                )
    return by_domain


def _pools(value: Any, problems: list[str]) -> dict[str, Pool]:
    pools: dict[str, Pool] = {}
    if not isinstance(value, dict) or not value:
        problems.append("pools: must be an object with one pool or more")
        return pools
    for name, pool in value.items():
        weights = pool.get("weights") if isinstance(pool, dict) else None
        if not isinstance(weights, list) or not weights or not all(isinstance(w, int) and w > 0 for w in weights):
            problems.append(f"pools.{name}.weights: must list a whole number of 1 or more for each source address")
            continue
        pools[name] = Pool(tuple(accumulate(weights)), tuple(map(str, pool.get("addresses", ()))))
    return pools
