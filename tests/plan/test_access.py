"""What is confirmed over a new connection: whatever could have shut the controller out, and nothing else."""

from __future__ import annotations

import pytest

from smtpctl.model.artifacts import DesiredHost, ManagedFile, Service
from smtpctl.model.plans import FileFact, HostPlan, Kind, ObservedHost, OwnedFile, UnitFact
from smtpctl.plan import plan_host
from tests.plan.conftest import sha256

RUNNING = UnitFact("loaded", "active", "running", "enabled")


def planned(path: str, *, found: str = "old", unit: str = "", fact: UnitFact = RUNNING) -> HostPlan:
    """The plan of a host that has ``path`` with the content ``found``, wanted is "new"; and ``unit`` in a state."""
    services = (Service(unit, 10),) if unit else ()
    return plan_host(
        DesiredHost("h1", {path: ManagedFile(path, b"new")}, (), services, (), ()),
        ObservedHost(
            "h1",
            {path: FileFact(Kind.FILE, sha256(found), 0o644, "root", "root")},
            owned={path: OwnedFile(sha256(found), 0o644, "root", "root")},
            units={unit: fact} if unit else {},
            revision="1",
        ),
    )


@pytest.mark.parametrize(
    "path",
    [
        "/etc/nftables.conf",
        "/etc/ssh/sshd_config.d/smtpctl.conf",
        "/etc/sudoers.d/smtpctl",
        "/etc/pam.d/sshd",
        "/etc/systemd/network/10-host.network",
        "/etc/sysctl.d/smtpctl.conf",
        "/etc/keepalived/keepalived.conf",
        "/etc/systemd/system/ssh.service.d/override.conf",
        "/root/.ssh/authorized_keys",
    ],
)
def test_files_that_decide_who_gets_in_are_confirmed_over_a_new_connection(path: str) -> None:
    assert planned(path).risks_access
    assert not planned(path, found="new").risks_access


@pytest.mark.parametrize("path", ["/etc/haproxy/haproxy.cfg", "/etc/postfix-a/main.cf", "/etc/logrotate.d/mail"])
def test_other_files_are_confirmed_at_once(path: str) -> None:
    assert not planned(path).risks_access


@pytest.mark.parametrize(
    ("unit", "fact", "risky"),
    [
        ("nftables.service", UnitFact("loaded", "inactive", "dead", "enabled"), True),
        ("ssh.service", UnitFact("loaded", "failed", "failed", "enabled"), True),
        ("nftables.service", RUNNING, False),
        ("haproxy.service", UnitFact("loaded", "inactive", "dead", "enabled"), False),
    ],
)
def test_a_unit_that_decides_who_gets_in_is_started_with_a_way_back(unit: str, fact: UnitFact, risky: bool) -> None:
    assert planned("/etc/haproxy/haproxy.cfg", found="new", unit=unit, fact=fact).risks_access == risky
