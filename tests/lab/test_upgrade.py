"""`smtpctl upgrade`: a newer Postfix from a repository on the hosts, taken one host after the other under mail."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl
from tests.lab.traffic import SteadyMail
from tests.packing import offer, withdraw

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def offered(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """A relay and both edges with a newer Postfix in their repositories."""
    hosts = ("relay1", "edge1", "edge2")
    for host in hosts:
        applied.lab.run(host, offer("postfix*", "+again1"))
    yield applied
    for host in hosts:
        applied.lab.run(host, withdraw())


def started(applied: AppliedFleet, host: str, unit: str) -> str:
    return applied.lab.run(host, ["systemctl", "show", "-P", "InvocationID", unit]).stdout


def test_a_newer_postfix_is_taken_by_one_host_after_the_other_under_mail(offered: AppliedFleet) -> None:
    units = {"relay1": ("postfix@transactional", "postfix@marketing"), "edge1": ("postfix@submission",)}
    before = {(host, unit): started(offered, host, unit) for host in units for unit in units[host]}
    chosen = ("--host", "relay1", "--host", "edge1", "--host", "edge2")
    mail = SteadyMail(offered, rate=5)
    with mail.flowing():
        answer = smtpctl("upgrade", str(INVENTORY), *chosen, "--yes", "--json")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    upgraded = [event["host"] for event in events if event.get("event") == "upgrade"]
    assert upgraded[0] == "relay1"
    assert sorted(upgraded[1:]) == ["edge1", "edge2"]
    assert {event["outcome"] for event in events if "result" in event} == {"applied"}
    assert [event["detail"] for event in events if event.get("event") == "ready"] == ["at edge1", "at edge2"] * 3
    mail.require_whole()
    for host in ("relay1", "edge1", "edge2"):
        version = offered.lab.run(host, ["dpkg-query", "--show", "--showformat=${Version}", "postfix"]).stdout
        assert version.endswith("+again1")
    for (host, unit), invocation in before.items():
        assert started(offered, host, unit) != invocation
    again = smtpctl("upgrade", str(INVENTORY), "--host", "relay1", "--yes")
    assert again.stdout == "no changes: 1 hosts are as they should be\n"
    history = json.loads(smtpctl("history", "relay1", "-i", str(INVENTORY), "--json").stdout)["hosts"]["relay1"]
    assert history[-1]["kind"] == "upgrade"
    assert {change for change, _ in history[-1]["changed"]} == {"upgrade"}
    assert any(what.startswith("postfix ") for _, what in history[-1]["changed"])
    assert smtpctl("drift", str(INVENTORY), "--host", "relay1").stdout == "relay1: no drift\n"
