"""Facts in, order out: each file in ``rollouts`` is a fleet, what is planned on its hosts, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpctl.inventory import load_fleet
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.plans import HostPlan, UnitAction, UnitStep
from smtpctl.plan import explain_rollout, rollout

INVENTORY = Path(__file__).parents[2] / "inventory"
CASES = sorted((Path(__file__).parent / "rollouts").glob("*.yml"))
LAB = load_fleet(INVENTORY / "lab.yml")


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_the_order_is_that_of_the_case(path: Path) -> None:
    assert path.read_text().startswith("# ")
    case = yaml.safe_load(path.read_text())
    assert set(case) <= {"fleet", "without", "plans", "lines"}
    fleet = _fleet(case)
    plans = {host: _plan(host, value) for host, value in case["plans"].items()}
    assert list(explain_rollout(rollout(fleet, plans), plans)) == case["lines"]


@pytest.mark.parametrize("holder", ["edge1", "edge2"])
def test_never_two_hosts_of_a_role_at_once_and_never_a_host_drained_at_nobody(holder: str) -> None:
    restart = {role.value: [role.value] for role in Role}
    plans = {
        host: _plan(host, {"holds_address": host == holder, "restart": {f"{r}.service": v for r, v in restart.items()}})
        for host in LAB.hosts
    }
    order = rollout(LAB, plans)
    assert [len(wave) for wave in order.waves] == [1] * 6
    assert order.waves[-1] == (holder,)
    for host, turn in order.turns.items():
        drained = {server.name.partition("/")[2] for drain in turn.drains for server in drain.servers}
        serving = {Role.SUBMISSION, Role.RELAY} & set(LAB.hosts[host].roles)
        assert drained == ({host} if serving else set())
        assert {drain.at for drain in turn.drains} == ({"edge1", "edge2"} if serving else set())
        assert bool(turn.move) == (host == holder)


def _fleet(case: Mapping[str, Any]) -> Fleet:
    fleet = load_fleet(INVENTORY / f"{case['fleet']}.yml")
    hosts = {name: host for name, host in fleet.hosts.items() if name not in case.get("without", ())}
    return replace(fleet, hosts=hosts)


def _plan(host: str, value: Mapping[str, Any]) -> HostPlan:
    steps = tuple(
        UnitStep(unit, 10, action, ("a reason",), serves=tuple(serves))
        for action in UnitAction
        for unit, serves in value.get(action.value, {}).items()
    )
    revision = "0123456789abcdef"
    return HostPlan(
        host,
        revision,
        "" if value.get("fresh") else revision,
        steps=steps,
        stop=tuple(value.get("stop", ())),
        holds_address=value.get("holds_address", False),
    )
