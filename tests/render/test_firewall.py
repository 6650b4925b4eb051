"""Firewall statements from what roles need."""

from __future__ import annotations

import pytest

from smtpctl.model.fleet import Fleet
from smtpctl.render.firewall import rule_lines
from smtpctl.render.roles import FirewallRule


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (FirewallRule(parties=["anywhere"], ports=[25]), ["tcp dport { 25 } accept"]),
        (FirewallRule(parties=["anywhere"], ports=[587, 465]), ["tcp dport { 465, 587 } accept"]),
        (
            FirewallRule(parties=["anywhere"], ports=[53], protocol="udp", user="unbound"),
            ['meta skuid "unbound" udp dport { 53 } accept'],
        ),
    ],
)
def test_a_rule_for_anywhere_names_no_address(reference: Fleet, rule: FirewallRule, expected: list[str]) -> None:
    assert list(rule_lines(reference, [rule], direction="saddr")) == expected


def test_a_role_stands_for_the_addresses_of_its_hosts(reference: Fleet) -> None:
    rule = FirewallRule(parties=["relay"], ports=["pools"])
    addresses = ", ".join(sorted(host.address for host in reference.hosts_with("relay").values()))  # type: ignore[arg-type]
    (line,) = rule_lines(reference, [rule], direction="daddr")
    assert line.startswith(f"ip daddr {{ {addresses} }} tcp dport {{ ")


def test_equal_rules_of_two_roles_stand_once(reference: Fleet) -> None:
    rule = FirewallRule(parties=["control"], ports=[5432])
    assert len(rule_lines(reference, [rule, rule], direction="daddr")) == 1


def test_vrrp_has_no_ports(reference: Fleet) -> None:
    (line,) = rule_lines(reference, [FirewallRule(parties=["balancer"], protocol="vrrp")], direction="saddr")
    assert line.endswith("meta l4proto vrrp accept")
