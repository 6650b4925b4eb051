"""A host that is drained while another one changes stays so, whatever reloads the HAProxy that was told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smtpctl.transport.connection import Target
from smtpctl.transport.host import Host
from tests.lab.support import AppliedFleet, until

pytestmark = pytest.mark.lab

#: HAProxy's unit on an edge, its admin socket, and servers of it that another host's change drains.
HAPROXIES = [
    ("haproxy", "/run/haproxy/admin.sock", ["submission/edge2", "submissions/edge2"]),
    ("haproxy@submission", "/run/haproxy-submission/admin.sock", ["transactional/relay2", "marketing/relay2"]),
]


@pytest.fixture
def edge1(applied: AppliedFleet) -> Iterator[Host]:
    """The agent on edge1, as a controller that changes another host has it."""
    state = applied.lab.state
    target = Target("edge1", applied.lab.addresses["edge1"], 22, "root", state.known_hosts, state.identity)
    with Host(target, "tester") as host:
        yield host


def statuses(applied: AppliedFleet, socket: str, servers: list[str]) -> list[str]:
    """What HAProxy says of ``servers``, as soon as it answers."""
    command = f"echo 'show stat' | socat - {socket}"
    rows = [line.split(",") for line in applied.lab.run("edge1", ["sh", "-c", command]).stdout.splitlines()]
    return [row[17] for name in servers for row in rows if "/".join(row[:2]) == name]


@pytest.mark.parametrize(("unit", "socket", "servers"), HAPROXIES, ids=["balancer", "submission"])
def test_what_is_drained_stays_so_over_a_reload_and_is_forgotten_by_a_restart(
    applied: AppliedFleet, edge1: Host, unit: str, socket: str, servers: list[str]
) -> None:
    others = [name.replace("2", "1") for name in servers]
    until(lambda: set(statuses(applied, socket, others)) == {"UP"}, "the other host takes no mail")
    wanted = [[socket, name] for name in servers]
    way = {"do": "give-way", "host": "other", "servers": wanted, "seconds": 30.0}
    assert edge1.ask({**way, "what": "drain", "lease": 600.0}).header["servers"] == servers
    for _ in range(2):
        applied.lab.run("edge1", ["systemctl", "reload", unit])
        assert statuses(applied, socket, servers) == ["DRAIN"] * len(servers)
    assert edge1.ask({**way, "what": "checked"}).header["failing"] == []
    assert edge1.ask({**way, "what": "ready"}).header["down"] == []
    applied.lab.run("edge1", ["systemctl", "reload", unit])
    assert statuses(applied, socket, servers) == ["UP"] * len(servers)
    edge1.ask({**way, "what": "drain", "lease": 600.0})
    applied.lab.run("edge1", ["systemctl", "restart", unit])
    assert "DRAIN" not in statuses(applied, socket, servers)
    assert edge1.ask({**way, "what": "ready"}).header["down"] == []
