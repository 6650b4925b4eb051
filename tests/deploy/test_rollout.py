"""A failure in the middle of a roll-out: stop there, go on, or take everything back."""

from __future__ import annotations

import pytest

from smtpctl.deploy.apply import verdict
from smtpctl.errors import PartlyAppliedError
from smtpctl.model.artifacts import DesiredHost, Probe
from smtpctl.model.records import OnFailure, Outcome
from tests.deploy.conftest import Bench, desired, greets, haproxy

pytestmark = pytest.mark.lab

ORDER = ("relay1", "relay2", "edge1")
NOBODY = Probe("nobody there", "tcp", "127.0.0.1:9", "", 0.3)


def fleet(port: int, *, failing: str = "") -> list[DesiredHost]:
    return [desired(host, haproxy(port), probes=[NOBODY if host == failing else greets(port)]) for host in ORDER]


def ports(bench: Bench) -> list[int]:
    return [8080 if "127.0.0.1:8080" in bench.run(host, "ss -ltn") else 8081 for host in ORDER]


@pytest.mark.parametrize(
    ("on_failure", "outcomes", "listening"),
    [
        (OnFailure.STOP, [Outcome.APPLIED, Outcome.UNDONE, Outcome.UNTOUCHED], [8081, 8080, 8080]),
        (OnFailure.GO_ON, [Outcome.APPLIED, Outcome.UNDONE, Outcome.APPLIED], [8081, 8080, 8081]),
        (OnFailure.ROLL_BACK, [Outcome.ROLLED_BACK, Outcome.UNDONE, Outcome.UNTOUCHED], [8080, 8080, 8080]),
    ],
    ids=str,
)
def test_the_second_of_three_hosts_fails(
    bench: Bench, on_failure: OnFailure, outcomes: list[Outcome], listening: list[int]
) -> None:
    bench.apply(*fleet(8080))
    results = bench.apply(*fleet(8081, failing="relay2"), on_failure=on_failure)
    assert [results[host].outcome for host in ORDER] == outcomes
    assert ports(bench) == listening
    error = verdict(list(results.values()))
    assert isinstance(error, PartlyAppliedError) == (on_failure is not OnFailure.ROLL_BACK)
    assert "relay2" in str(error)
    assert {result.outcome for result in bench.apply(*fleet(8081)).values()} <= {Outcome.APPLIED, Outcome.UNCHANGED}
    assert ports(bench) == [8081, 8081, 8081]


def test_hosts_that_were_bare_cannot_be_taken_back_and_say_so(bench: Bench) -> None:
    results = bench.apply(*fleet(8081, failing="relay2"), on_failure=OnFailure.ROLL_BACK)
    assert results["relay1"].step == "recall"
    assert "no revision before this one is kept" in results["relay1"].detail
    assert results["relay1"].outcome is Outcome.APPLIED
