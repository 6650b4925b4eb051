"""What a line cannot say and the fleet knows: role, pool and stream of an instance, provider of a domain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Transports of a relay's instance are named after provider and source address: ``google-1``.
_TRANSPORT = re.compile(rb"([a-z][a-z0-9-]*)-(\d+)")


@dataclass(frozen=True, slots=True)
class Instance:
    """One Postfix instance of a host. ``sources`` are its source addresses, as its transports number them."""

    role: bytes | None = None
    pool: bytes | None = None
    stream: bytes | None = None
    sources: tuple[bytes, ...] = ()


_PLAIN = Instance()


@dataclass(frozen=True, slots=True)
class Labels:
    """Names for what happens on one host."""

    instances: Mapping[bytes, Instance] = field(default_factory=dict)
    providers: Mapping[bytes, bytes] = field(default_factory=dict)
    pools: frozenset[bytes] = frozenset()
    streams: Mapping[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Labels:
        """From the shipper's configuration: ``instances``, ``providers``, ``streams`` (credential to stream)."""
        instances = {
            name.encode(): Instance(
                _text(entry.get("role")),
                _text(entry.get("pool")),
                _text(entry.get("stream")),
                tuple(address.encode() for address in entry.get("sources", ())),
            )
            for name, entry in config.get("instances", {}).items()
        }
        providers = {domain.encode(): name.encode() for domain, name in config.get("providers", {}).items()}
        streams = {name.encode(): stream.encode() for name, stream in config.get("streams", {}).items()}
        return cls(instances, providers, frozenset(name.encode() for name in config.get("pools", ())), streams)

    def instance(self, name: bytes) -> Instance:
        """What is known of an instance, by its syslog_name."""
        return self.instances.get(name, _PLAIN)

    def provider(self, transport: bytes, domain: bytes) -> bytes | None:
        """The provider that an attempt went to: the transport's if it names one (it knows where the MX points)."""
        match = _TRANSPORT.fullmatch(transport)
        if match and match[1] != b"default":
            return match[1]
        return self.providers.get(domain) or (b"other" if match else None)

    def source_address(self, instance: bytes, transport: bytes) -> bytes | None:
        """The address that a relay's transport sends from."""
        sources = self.instance(instance).sources
        match = _TRANSPORT.fullmatch(transport)
        if not match or not 1 <= int(match[2]) <= len(sources):
            return None
        return sources[int(match[2]) - 1]


def _text(value: str | None) -> bytes | None:
    return value.encode() if value else None
