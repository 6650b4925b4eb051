"""Going back: to the revision before, to any kept one, and what hosts remember of it."""

from __future__ import annotations

import pytest

from smtpctl.deploy.history import fleet_history
from smtpctl.errors import SmtpctlError
from smtpctl.model.artifacts import Action, Service
from smtpctl.model.records import Outcome
from smtpctl.transport.connection import operator
from tests.deploy.conftest import Bench, desired, file, greets, haproxy

pytestmark = pytest.mark.lab

SECRET = file("/etc/trial/key", "first\n", mode=0o600, secret=True)
FIRST = desired("relay1", haproxy(8080), SECRET, probes=[greets(8080)])
SECOND = desired("relay1", haproxy(8081), file("/etc/trial/key", "second\n", mode=0o600, secret=True))
THIRD = desired("relay1", haproxy(8082), file("/etc/trial/new", "x\n"))


def test_rollback_goes_to_the_revision_before_the_last_apply(bench: Bench) -> None:
    bench.apply(FIRST)
    bench.apply(SECOND)
    result = bench.rollback("relay1")
    assert (result.outcome, result.revision, result.detail) == (Outcome.APPLIED, FIRST.revision, "")
    assert bench.plan(FIRST).empty
    assert bench.run("relay1", "cat /etc/trial/key") == "first\n"
    assert "127.0.0.1:8080" in bench.run("relay1", "ss -ltn")
    assert bench.steps("relay1")[-3:] == ["reload", "probe", "done"]


def test_rollback_goes_to_any_kept_revision_by_number_and_by_name(bench: Bench) -> None:
    for wanted in (FIRST, SECOND, THIRD):
        bench.apply(wanted)
    assert bench.rollback("relay1", "1").outcome is Outcome.APPLIED
    assert bench.plan(FIRST).empty
    assert "No such file" in bench.run("relay1", "ls /etc/trial/new 2>&1", check=False)
    assert bench.rollback("relay1", SECOND.revision[:8]).revision == SECOND.revision
    assert bench.plan(SECOND).empty


def test_a_rollback_of_all_hosts_takes_back_what_the_last_apply_changed_and_no_more(bench: Bench) -> None:
    other = desired("relay2", file("/etc/trial/a", "1\n"))
    bench.apply(FIRST, other)
    bench.apply(desired("relay2", file("/etc/trial/a", "2\n")))
    bench.apply(SECOND, desired("relay2", file("/etc/trial/a", "2\n")))
    assert bench.rollback_last_run() == {"relay1": Outcome.APPLIED}
    assert bench.plan(FIRST).empty
    assert bench.run("relay2", "cat /etc/trial/a") == "2\n"


def test_what_an_older_release_did_last_is_not_taken_back_from_all_hosts(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(8080)))
    bench.run("relay1", r"sed -i 's/\"run\": *\"[^\"]*\"/\"run\":\"\"/' $(grep -rl '\"run\"' /var/lib/smtpctl)")
    with pytest.raises(SmtpctlError, match="older smtpctl"):
        bench.rollback_last_run()
    assert "bind 127.0.0.1:8080" in bench.run("relay1", "cat /etc/haproxy/haproxy.cfg")


def test_a_revision_that_is_not_kept_is_refused_with_those_that_are(bench: Bench) -> None:
    bench.apply(FIRST)
    result = bench.rollback("relay1", "feedfeed")
    assert (result.outcome, result.step) == (Outcome.FAILED, "recall")
    assert result.detail == f"no revision feedfeed is kept on this host; kept are: 1-{FIRST.revision}"
    assert "no revision before this one is kept" in bench.rollback("relay1").detail


def test_history_says_who_did_what_when_and_how_it_went(bench: Bench) -> None:
    bench.apply(FIRST)
    bench.apply(desired("relay1", haproxy(8081), SECRET, probes=[greets(9, deadline=0.2)]))
    bench.apply(SECOND)
    bench.rollback("relay1")
    histories, errors = fleet_history({"relay1": bench.targets["relay1"]})
    entries = histories["relay1"]
    assert not errors
    assert [(entry.number, entry.kind, bool(entry.undone)) for entry in entries] == [
        (1, "apply", False),
        (2, "apply", True),
        (3, "apply", False),
        (4, "rollback", False),
    ]
    assert {entry.who for entry in entries} == {operator()}
    assert entries[1].reason.startswith("probe: port 9: ")
    assert entries[2].changed == (("change", "/etc/haproxy/haproxy.cfg"), ("change", "/etc/trial/key"))
    assert (entries[2].previous, entries[3].revision) == (FIRST.revision, FIRST.revision)
    assert [entry.begun for entry in entries] == sorted(entry.begun for entry in entries)


def test_a_service_left_on_an_older_file_is_brought_to_it(bench: Bench) -> None:
    rsyslog = Service("rsyslog.service", 10, (("/etc/trial/*", Action.RESTART),))
    wanted = desired("relay1", file("/etc/trial/a", "1\n"), services=[rsyslog], packages=[])
    bench.apply(wanted)
    assert bench.plan(wanted).empty
    bench.run("relay1", "cp /etc/trial/a /etc/trial/b; mv /etc/trial/b /etc/trial/a")
    (step,) = bench.plan(wanted).steps
    assert (step.unit, step.action, step.reasons) == (
        "rsyslog.service",
        "restart",
        ("runs on an older /etc/trial/a",),
    )
    assert bench.apply(wanted)["relay1"].outcome is Outcome.APPLIED
    assert bench.plan(wanted).empty
