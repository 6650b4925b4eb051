"""Upgrades of packages: what restarts for them, and what is left to unattended-upgrades."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.plans import ObservedHost, Upgrade
from smtpctl.plan import explain, explain_rollout, plan_upgrades, rollout, summary
from smtpctl.plan.upgrades import patterns
from smtpctl.render import render_fleet

INVENTORY = Path(__file__).parents[2] / "inventory" / "reference.yml"
FLEET = load_fleet(INVENTORY)
POSTFIX = Upgrade("postfix", "3.10.4-1", "3.10.5-1")
HAPROXY = Upgrade("haproxy", "3.0.11-1", "3.0.12-1")


@cache
def desired(host: str) -> DesiredHost:
    return render_fleet(FLEET, read_secrets(INVENTORY, placeholders=True), hosts=[host])[host]


def observed(host: str, *, holds_address: bool = False) -> ObservedHost:
    return ObservedHost(host, {}, revision=desired(host).revision, holds_address=holds_address)


def test_an_upgrade_of_postfix_restarts_every_instance_of_a_host_and_drains_it() -> None:
    plan = plan_upgrades(desired("relay1"), observed("relay1"), [POSTFIX])
    assert summary(plan) == "upgrade postfix 3.10.4-1 → 3.10.5-1; restart postfix@marketing, postfix@transactional"
    assert explain(plan)[:2] == (
        "upgrade postfix 3.10.4-1 → 3.10.5-1",
        "restart postfix@marketing.service: postfix 3.10.4-1 → 3.10.5-1",
    )
    assert "   drain transactional/relay1, marketing/relay1 at edge1, edge2" in explain_rollout(
        rollout(FLEET, {"relay1": plan}), {"relay1": plan}
    )


def test_an_upgrade_of_haproxy_moves_the_address_and_drains_what_it_also_serves() -> None:
    plans = {
        edge: plan_upgrades(desired(edge), observed(edge, holds_address=edge == "edge1"), [HAPROXY])
        for edge in ("edge1", "edge2")
    }
    order = rollout(FLEET, plans)
    assert order.waves == (("edge2",), ("edge1",))
    assert order.turns["edge1"].move is not None
    assert {step.unit for step in plans["edge1"].steps} == {"haproxy.service", "haproxy@submission.service"}


def test_nothing_to_upgrade_is_an_empty_plan() -> None:
    assert plan_upgrades(desired("edge1"), observed("edge1"), []).empty


def test_unattended_upgrades_leaves_to_us_exactly_what_we_upgrade() -> None:
    for host in ("edge1", "relay1", "control1"):
        text = desired(host).files["/etc/apt/apt.conf.d/52smtpctl"].content.decode()
        blacklist = re.findall(r'^\t"(.*)";$', text, re.MULTILINE)
        assert blacklist == [f"^{pattern.replace('*', '.*')}$" for pattern in patterns(desired(host))]
        has_postfix = any(re.match(expression, "postfix-pcre") for expression in blacklist)
        assert has_postfix == (host != "control1")
        assert not any(re.match(expression, "openssl") for expression in blacklist)
