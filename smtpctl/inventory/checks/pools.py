"""Streams and pools: one pool a stream, carried by relays, under a name that is free."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding
from smtpctl.inventory.words import suggestion
from smtpctl.model.fleet import RESERVED_INSTANCES, Fleet, Role

#: Services of a stock master.cf (master(5)). A pool's name is a transport of the submission instance, and its socket
#: ``private/NAME`` would be theirs; ``auth`` is Dovecot's.
MASTER_SERVICES = frozenset(
    """
    anvil auth bounce cleanup defer discard dnsblog error flush lmtp local maildrop pickup postlog proxymap proxywrite
    qmgr relay retry rewrite scache showq smtp smtpd submissions tlsmgr tlsproxy trace verify virtual
    """.split()  # noqa: SIM905 - a list of quoted words would take forty lines
)


@reads("streams", "pools")
def a_stream_has_a_pool(fleet: Fleet) -> Findings:
    """A stream names a pool that exists."""
    for name, stream in fleet.streams.items():
        if stream.pool not in fleet.pools:
            path = ("streams", name, "pool")
            hint = suggestion(stream.pool, fleet.pools, what="pools")
            yield Finding(path, f"stream {name!r} names an unknown pool {stream.pool!r}", hint)


@reads("streams", "pools")
def a_pool_carries_one_stream(fleet: Fleet) -> Findings:
    """A pool is the outgoing side of one stream: a shared one would share its reputation. One without a stream takes
    nothing and sends what it has, until it is empty and removed."""
    for pool in fleet.pools:
        streams = [name for name, stream in fleet.streams.items() if stream.pool == pool]
        for other in streams[1:]:
            message = f"streams {streams[0]!r} and {other!r} share pool {pool!r}, and so their reputation and queue"
            yield Finding(("streams", other, "pool"), message, "give each stream a pool of its own")


@reads("hosts", "pools")
def a_source_has_a_pool(fleet: Fleet) -> Findings:
    """A source address names a pool that exists."""
    for name, host in fleet.hosts.items():
        for index, source in enumerate(host.sources):
            if source.pool not in fleet.pools:
                path = ("hosts", name, "sources", index, "pool")
                hint = suggestion(source.pool, fleet.pools, what="pools")
                yield Finding(path, f"source {source.address} names an unknown pool {source.pool!r}", hint)


@reads("hosts", "pools")
def a_pool_has_a_relay(fleet: Fleet) -> Findings:
    """A pool has a source address on a relay at least."""
    relays = [host for host in fleet.hosts.values() if Role.RELAY in host.roles]
    if any(not relay.sources or any(source.pool not in fleet.pools for source in relay.sources) for relay in relays):
        return  # another rule speaks of these, and the lack may only follow from it
    for pool in fleet.pools:
        if not fleet.relays_of(pool):
            hint = f"give a relay a source address with pool: {pool}"
            yield Finding(("pools", pool), f"pool {pool!r} has no relay", hint, at_key=True)


@reads("pools")
def a_pool_name_is_free(fleet: Fleet) -> Findings:
    """A pool is not called like another Postfix instance, `default`, or a service of a stock master.cf."""
    for pool in fleet.pools:
        if pool in RESERVED_INSTANCES or pool == "default" or pool in MASTER_SERVICES:
            hint = "name it for its stream, such as transactional"
            yield Finding(("pools", pool), f"a pool cannot be called {pool!r}: the name is taken", hint, at_key=True)


CHECKS = (
    a_stream_has_a_pool,
    a_pool_carries_one_stream,
    a_source_has_a_pool,
    a_pool_has_a_relay,
    a_pool_name_is_free,
)
