"""What is wrong with a host: one thing broken at a time, and only that is said."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from smtpctl.operate.doctor import Expected, Measured, symptoms

EXPECTED = Expected(names=("relay1.lab.test",), reverse={"192.0.2.1": "relay1.lab.test"})
WHEN = Measured(asked=1000.0, took=3.0)
HEALTHY: dict[str, Any] = {
    "now": 1001.0,
    "synchronised": True,
    "forward": {"relay1.lab.test": ["192.0.2.1"]},
    "reverse": {"192.0.2.1": ["relay1.lab.test"]},
    "space": {"/": {"free": 0.5, "inodes": 0.9}},
    "memory": {"total": 1000, "available": 500},
    "killed": 0,
    "load": 1.0,
    "processors": 2,
    "upgrades": {"packages": [], "security": []},
    "lists_age": 3600.0,
    "restart_required": False,
    "kernel": {"running": "6.12.1", "installed": ["6.12.1"]},
    "units": [],
    "mail": {
        "marketing": {"ages": {"active": 2.0, "incoming": None, "maildrop": None, "deferred": 600.0}, "corrupt": 0}
    },
}


def test_nothing_is_said_of_a_healthy_host() -> None:
    assert symptoms("relay1", HEALTHY, EXPECTED, WHEN) == []


def test_nothing_is_said_of_what_a_container_cannot_know() -> None:
    facts = HEALTHY | {"synchronised": None, "kernel": {"running": "6.1", "installed": []}, "lists_age": None}
    assert symptoms("relay1", facts, EXPECTED, WHEN) == []


@pytest.mark.parametrize(
    ("path", "value", "check", "words"),
    [
        ("now", 990.0, "clock", "10 s behind"),
        ("now", 1010.0, "clock", "7 s ahead of"),
        ("synchronised", False, "clock", "no time server"),
        ("forward/relay1.lab.test", "no answer within 5 s", "dns", "relay1.lab.test does not resolve"),
        ("reverse/192.0.2.1", ["other.test"], "reverse dns", "named other.test, and not relay1.lab.test"),
        ("reverse/192.0.2.1", "Unknown host", "reverse dns", "192.0.2.1 has no name"),
        ("space//", {"free": 0.04, "inodes": 0.9}, "disk", "4% of the space of /"),
        ("space//", {"free": 0.4, "inodes": 0.01}, "disk", "1% of the inodes of /"),
        ("memory/available", 20, "memory", "2% of the memory"),
        ("killed", 3, "memory", "killed 3 processes"),
        ("load", 40.0, "load", "40 processes wait for 2"),
        ("upgrades", {"packages": ["a", "b"], "security": []}, "upgrades", "2 upgrades wait: a, b"),
        ("upgrades", {"packages": ["a", "b"], "security": ["b"]}, "upgrades", "1 security upgrades wait: b"),
        ("lists_age", 86400.0 * 9, "upgrades", "9 days old"),
        ("restart_required", True, "kernel", "asks for a restart"),
        ("kernel/installed", ["6.12.1", "6.12.9"], "kernel", "runs 6.12.1, and 6.12.9 is installed"),
        ("units", ["postfix@marketing.service"], "unit", "postfix@marketing.service has failed"),
        ("mail/marketing/ages/active", 3600.0, "mail", "active queue since 1.0 hours"),
        ("mail/marketing/ages/deferred", 18000.0, "mail", "deferred queue since 5.0 hours"),
        ("mail/marketing/corrupt", 2, "mail", "2 files in its corrupt queue"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(path: str, value: object, check: str, words: str) -> None:
    facts = deepcopy(HEALTHY)
    *folders, last = path.split("/", 1) if path == "space//" else path.split("/")
    place = facts
    for folder in folders:
        place = place[folder]
    place[last] = value
    (found,) = symptoms("relay1", facts, EXPECTED, WHEN)
    assert (found.host, found.check) == ("relay1", check)
    assert words in found.sentence
    assert found.remedy
