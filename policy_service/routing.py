"""Which transport a recipient takes: its domain's provider, and one of the pool's source addresses there. Pure.

The source is chosen by weight from a hash of the recipient's address: an address keeps its source, so that a provider
which greylists sees the retry come from where the first try came.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Mapping
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

    def source(self, recipient: str) -> int:
        """The number, from 1, of the source that serves ``recipient``."""
        digest = hashlib.blake2b(recipient.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return bisect_right(self.bounds, int.from_bytes(digest, "big") % self.bounds[-1]) + 1


@dataclass(frozen=True, slots=True)
class Routing:
    """Providers by recipient domain, and pools by name."""

    providers: Mapping[str, str]
    default: str
    pools: Mapping[str, Pool]

    def transport(self, map_name: str, key: str) -> str | None:
        """The transport for an address, or None: an unknown map, the wildcard, or no address."""
        pool = self._pool(map_name)
        local, at, domain = key.rpartition("@")
        if pool is None or not at or not local or not domain:
            return None
        return f"{self.provider(domain)}-{pool.source(key.lower())}"

    def provider(self, domain: str) -> str:
        """The provider of a recipient domain."""
        return self.providers.get(domain.lower(), self.default)

    def _pool(self, map_name: str) -> Pool | None:
        if map_name == "route" and len(self.pools) == 1:
            return next(iter(self.pools.values()))
        return self.pools.get(map_name.removeprefix(MAP_PREFIX)) if map_name.startswith(MAP_PREFIX) else None


def parse(text: str | bytes) -> Routing:
    """Given the content of a routing file, return its values. Raise RulesError with every problem of it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError([f"not JSON: {error}"]) from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise RulesError([f"version is not {VERSION}, the version this service reads"])
    problems: list[str] = []
    providers = _providers(document.get("providers"), problems)
    pools = _pools(document.get("pools"), problems)
    default = document.get("default")
    if not isinstance(default, str) or not _NAME.fullmatch(default):
        problems.append(f"default: {default!r} is not the name of a provider")
    if problems:
        raise RulesError(problems)
    return Routing(providers, str(default), pools)


def _providers(value: Any, problems: list[str]) -> dict[str, str]:
    by_domain: dict[str, str] = {}
    if not isinstance(value, dict):
        problems.append("providers: must be an object")
        return by_domain
    for name, provider in value.items():
        if not _NAME.fullmatch(name) or not isinstance(provider, dict) or not isinstance(provider.get("domains"), list):
            problems.append(f"providers.{name}: must be a name with an object that lists domains")
            continue
        for domain in provider["domains"]:
            if by_domain.setdefault(str(domain).lower(), name) != name:
                problems.append(
                    f"providers.{name}.domains: {domain} belongs to {by_domain[str(domain).lower()]} already"
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
        pools[name] = Pool(tuple(accumulate(weights)))
    return pools
