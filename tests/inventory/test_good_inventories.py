"""Good inventories: those of the repository, and forms that must be accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smtpctl.inventory import check, load_fleet
from smtpctl.inventory.judge import judge
from smtpctl.model.fleet import Fleet, Role
from smtpctl.render import template_root

NAMES = ("reference", "single", "lab", "vagrant")


def _source(address: str, helo: str) -> dict[str, Any]:
    """A change that gives the host this one source."""
    return {"hosts": {"mail1": {"sources": [{"address": address, "helo": helo, "pool": "transactional"}]}}}


def _sending(domain: str) -> dict[str, Any]:
    """A change that adds a sending domain."""
    return {"domains": {"sending": {domain: {"bounce": f"bounce.{domain}"}}}}


_IPV6 = {
    "network": {"management": ["2001:db8:1::/48"], "prefix": 64},
    "hosts": {"mail1": {"address": "2001:db8::20"}},
    "balancing": {"virtual_address": "2001:db8::10/64"},
}
_BOTH = {"orange": {"domains": ["orange.fr"], "mx": ["orange.fr"]}}

#: What must be accepted: a name for it, and the change to the small inventory.
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nothing changed", {}),
    ("a second limit over another window", {"limits": [{"count": 1000, "per": "1m"}, {"count": 9000, "per": "1d"}]}),
    ("a limit of exactly one largest message", {"limits": [{"count": 100, "per": "1h"}]}),
    ("a burst of the whole count", {"limits": [{"count": 100, "burst": 100, "per": "1h"}]}),
    ("no limits at all", {"limits": []}),
    ("a credential without limits in spite of the fleet's", {"credentials": {"shop": {"limits": []}}}),
    ("one message a minute", {"limits": [{"counted": "messages", "count": 1, "per": "1m"}]}),
    ("sshd on another port", {"ssh": {"port": 2222}}),
    ("an IPv6 source address beside IPv4 hosts", _source("2001:db8::21", "out1.mail.example.com")),
    ("a HELO name below a sending domain", _source("192.0.2.21", "out1.shop.example.com")),
    ("all hosts on IPv6", _IPV6),
    ("a virtual address for one balancer", {"balancing": {"virtual_address": "192.0.2.10/32"}}),
    ("a sending domain below another", _sending("eu.shop.example.com")),
    ("a sending domain that is the infrastructure's", _sending("mail.example.com")),
    ("a number as a parameter", {"parameters": {"submission": {"message_size_limit": 26214400}}}),
    ("a parameter of a pool from the fleet", {"parameters": {"transactional": {"minimal_backoff_time": "5m"}}}),
    ("a parameter on a host", {"hosts": {"mail1": {"parameters": {"feedback": {"message_size_limit": "1000"}}}}}),
    ("an empty parameter", {"pools": {"transactional": {"parameters": {"smtp_discard_ehlo_keywords": ""}}}}),
    ("a provider known by MX alone", {"providers": {"google": {"mx": ["google.com"]}}}),
    ("a provider's domain that is also its MX", {"providers": _BOTH}),
)


@pytest.mark.parametrize("name", NAMES)
def test_inventories_of_the_repository_are_sound(name: str, repository: Path) -> None:
    path = repository / "inventory" / f"{name}.yml"
    assert check(path, built_in_templates=template_root) == ()
    assert load_fleet(path).fleet == name


@pytest.mark.parametrize("name", ("reference", "lab", "vagrant"))
def test_six_hosts_carry_the_roles_of_the_design(name: str, repository: Path) -> None:
    fleet = load_fleet(repository / "inventory" / f"{name}.yml")
    assert {host: [str(role) for role in fleet.hosts[host].roles] for host in fleet.hosts} == {
        "edge1": ["balancer", "submission"],
        "edge2": ["balancer", "submission"],
        "relay1": ["relay"],
        "relay2": ["relay"],
        "feedback1": ["feedback", "mailbox"],
        "control1": ["control"],
    }
    assert all(len(fleet.relays_of(pool)) == 2 for pool in fleet.pools)


def test_one_host_carries_all_roles(repository: Path) -> None:
    fleet = load_fleet(repository / "inventory" / "single.yml")
    assert [set(host.roles) for host in fleet.hosts.values()] == [set(Role)]
    assert fleet.balancing.virtual_address is None


@pytest.mark.parametrize(("what", "changes"), GOOD, ids=[what for what, _ in GOOD])
def test_is_accepted(what: str, changes: dict[str, Any], small_with: Callable[[dict[str, Any]], str]) -> None:
    fleet, _, problems = judge(small_with(changes), "small.yml")
    assert problems == ()
    assert isinstance(fleet, Fleet)


def test_values_keep_what_was_written(small: str) -> None:
    fleet, _, _ = judge(small.replace("fleet: small", "fleet: on"), "small.yml")
    assert fleet is not None
    assert fleet.fleet == "on"
    assert fleet.limits[0].per == 3600
    assert fleet.hosts["mail1"].sources[0].weight == 1
    assert fleet.limits_of("shop")[0].burst_for(100) == 100


def test_an_alias_repeats_its_anchor(small: str) -> None:
    text = small.replace("senders: [shop", "senders: &own [shop").replace(
        "stream: transactional}\nlimits",
        "stream: transactional}\n  help: {senders: *own, stream: transactional}\nlimits",
    )
    fleet, _, problems = judge(text, "small.yml")
    assert problems == ()
    assert fleet is not None
    assert fleet.credentials["help"].senders == ["shop.example.com"]


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(small: str, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_bytes(b"\xef\xbb\xbf" + small.replace("\n", "\r\n").encode())
    assert load_fleet(path).fleet == "small"


def test_an_overlay_that_replaces_a_built_in_is_accepted(small: str, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text(small.replace("fleet: small", "fleet: small\ntemplates: our own/templates"))
    replaced = tmp_path / "our own/templates/balancer/etc/haproxy/haproxy.cfg.j2"
    replaced.parent.mkdir(parents=True)
    replaced.write_text("global\n")
    (replaced.parent / ".gitkeep").touch()
    assert check(path, built_in_templates=template_root) == ()
