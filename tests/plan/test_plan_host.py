"""Facts in, steps out: every file in ``cases`` is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.model.plans import FileFact, Kind, ObservedHost
from smtpctl.plan import explain, plan_host, summary
from tests.plan.conftest import CASES, Case, sha256


def test_the_steps_are_those_of_the_case(case: Case) -> None:
    plan = plan_host(case.desired, case.observed)
    assert list(explain(plan)) == case.document["steps"]
    assert plan.empty == (not case.document["steps"])
    if "summary" in case.document:
        assert summary(plan) == case.document["summary"]
    if "diff" in case.document:
        assert "".join(change.diff for change in plan.files) == case.document["diff"]


def test_every_case_says_what_it_is_about() -> None:
    for path in CASES:
        assert path.read_text().startswith("# "), path.name


def test_the_same_facts_give_the_same_plan(case: Case) -> None:
    plan = plan_host(case.desired, case.observed)
    assert plan == plan_host(case.desired, case.observed)
    assert plan.fingerprint == plan_host(case.desired, case.observed).fingerprint


def test_a_host_that_moved_gives_another_fingerprint() -> None:
    wanted = DesiredHost("h1", {"/a": ManagedFile("/a", b"new\n")}, (), (), (), ())
    before = ObservedHost("h1", {"/a": FileFact(Kind.FILE, sha256("old\n"), 0o644, "root", "root")})
    moved = replace(before, files={"/a": FileFact(Kind.FILE, sha256("other\n"), 0o644, "root", "root")})
    assert plan_host(wanted, before).fingerprint != plan_host(wanted, moved).fingerprint


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_cases_hold_no_key_that_is_not_read(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert set(document) <= {"desired", "observed", "steps", "summary", "diff"}
