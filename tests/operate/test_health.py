"""From what hosts and ledger say to what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smtpctl.operate.health import Flow, Status, days_left, flows_of, problems_of
from smtpctl.transport.agent.queue_files import arrival

NOW = 1_800_000_000.0
VIRTUAL = "10.78.0.10"


def host(**members: Any) -> dict[str, Any]:
    base = {
        "queues": {
            "marketing": {"deferred": {"messages": 3, "oldest": NOW - 60}, "hold": {"messages": 0, "oldest": None}}
        },
        "disk_free": 0.5,
        "inodes_free": 0.9,
        "certificates": {"/etc/postfix-marketing/tls.pem": "2027-12-01 12:00:00Z"},
        "failed_units": [],
        "holds_virtual_address": False,
        "now": NOW,
    }
    return base | members


def sound() -> Status:
    return Status(hosts={"edge1": host(holds_virtual_address=True), "edge2": host()}, lag={"edge1": 3.0})


def problems(status: Status) -> list[str]:
    return problems_of(status, VIRTUAL, ["edge1", "edge2"])


def test_nothing_is_wrong_with_a_sound_fleet() -> None:
    assert problems(sound()) == []


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"failed_units": ["opendkim@rsa.service"]}, "edge2: opendkim@rsa.service has failed"),
        ({"disk_free": 0.04}, "edge2: disk 4% free"),
        ({"inodes_free": 0.0}, "edge2: inodes 0% free"),
        ({"queues": {"x": {"hold": {"messages": 1, "oldest": NOW - 6 * 3600}}}}, "edge2: x has mail that came 6 hours"),
        ({"certificates": {"/a": "2027-01-20 00:00:00Z"}}, "edge2: certificate /a ends in 5 days"),
        ({"certificates": {"/a": "Could not open file"}}, "edge2: certificate /a is unreadable"),
        ({"holds_virtual_address": True}, "is held by edge1 and edge2"),
    ],
)
def test_what_a_host_says_is_wrong(members: dict[str, Any], words: str) -> None:
    status = sound()
    status.hosts["edge2"] = host(**members)
    (found,) = problems(status)
    assert words in found


def test_what_the_fleet_lacks_is_wrong() -> None:
    nobody = Status(hosts={"edge1": host(), "edge2": host()})
    assert problems(nobody) == [f"the virtual address {VIRTUAL} is held by nobody"]
    assert problems(replace(sound(), silent={"relay1": "no connection"})) == ["relay1 does not answer: no connection"]
    assert problems(replace(sound(), ledger="no")) == ["the ledger does not answer: no"]
    assert problems(replace(sound(), lag={"edge1": 3600.0})) == ["edge1: the ledger is 60 minutes behind"]
    assert problems(replace(sound(), drift={"edge1": 2})) == ["edge1: 2 changes by hand, see smtpctl drift"]


def test_a_balancer_that_is_silent_may_hold_the_virtual_address() -> None:
    status = Status(hosts={"edge2": host()}, silent={"edge1": "no connection"})
    assert problems(status) == [
        "edge1 does not answer: no connection",
        f"the virtual address {VIRTUAL} is held by no host that answers",
    ]
    holder = replace(status, hosts={"edge2": host(holds_virtual_address=True)})
    assert problems(holder) == ["edge1 does not answer: no connection"]


def test_attempts_add_up_to_flows() -> None:
    def row(status: str, attempts: int) -> dict[str, Any]:
        return {
            "stream": "marketing",
            "provider": "google",
            "status": status,
            "attempts": attempts,
            "delay_median": 1.5,
            "delay_p99": 9.0,
        }

    rows = [row("sent", 10), row("deferred", 4), row("bounced", 1), row("expired", 2), row("deliverable", 7)]
    assert flows_of(rows) == [Flow("marketing", "google", 10, 4, 3, 1.5, 9.0)]


def test_a_long_queue_id_says_when_its_message_came() -> None:
    # arrived at 2026-11-22 04:05:29 UTC, as postqueue said
    assert arrival("4jXFpx03ztzFstW") == 1795320329
    assert arrival("4F2A1B0C9D") is None
    assert arrival("") is None


def test_days_are_counted_to_the_end_of_a_certificate() -> None:
    assert days_left("2027-01-16 08:00:00Z", NOW) == pytest.approx(1.0)
    assert days_left("unable to load certificate", NOW) is None
