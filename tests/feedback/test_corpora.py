"""Real bounces, read in place: SMTPCTL_CORPORA names a folder whose ``feedback/mails.jsonl`` lists mails with answers.

Only delivery reports (RFC 3464) are held against their answers here; what is none must not be taken for one.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from smtpctl.feedback.report import Kind, Report, read_report
from smtpctl.model.deliveries import Hardness

CORPORA = Path(os.environ.get("SMTPCTL_CORPORA", "/nonexistent")) / "feedback"

pytestmark = pytest.mark.skipif(
    not (CORPORA / "mails.jsonl").is_file(), reason="SMTPCTL_CORPORA does not name a folder with feedback/mails.jsonl"
)


def mails(*kinds: str) -> list[tuple[dict[str, Any], Report]]:
    """The mails of some kinds: what the corpus expects, and what we read."""
    with (CORPORA / "mails.jsonl").open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [(record["expected"], read(record["file"])) for record in records if record["kind"] in kinds]


def read(file: str) -> Report:
    return read_report((CORPORA / file).read_bytes())


def normal(address: str) -> str:
    return re.sub(r"^\w+\s*;\s*", "", address.strip().strip("<>").lower()).strip('<> ."')


def share(results: list[bool]) -> float:
    assert len(results) > 100, "the corpus is smaller than it should be"
    return sum(results) / len(results)


def test_recipients_of_delivery_reports_are_exact() -> None:
    def exact(expected: dict[str, Any], report: Report) -> bool:
        groups = [{normal(alias) for alias in group} for group in expected["recipients"]]
        found = {normal(recipient.address) for recipient in report.recipients}
        return all(group & found for group in groups) and found <= set().union(*groups)

    results = [
        exact(expected, report)
        for expected, report in mails("bounce", "dsn-delayed")
        if expected.get("recipients") and report.recipients
    ]
    assert share(results) == 1.0


def test_a_failure_is_told_from_a_delay() -> None:
    results = [
        (report.kind is Kind.BOUNCE) == expected["final"]
        for expected, report in mails("bounce", "dsn-delayed")
        if expected.get("final") is not None and report.recipients
    ]
    assert share(results) == 1.0


def test_hard_and_soft_agree_with_the_corpus_but_for_a_few() -> None:
    results = [
        any(recipient.hardness is Hardness.HARD for recipient in report.recipients) == expected["hard"]
        for expected, report in mails("bounce")
        if expected.get("hard") is not None and report.recipients
    ]
    assert share(results) >= 0.88


def test_replies_that_blame_us_never_make_an_address_bad() -> None:
    blamed = {"RP", "RL", "AU", "SP", "VI", "GL", "SZ"}
    for expected, report in mails("bounce"):
        if expected.get("family") and set(expected["family"]) <= blamed and len(report.recipients) == 1:
            (recipient,) = report.recipients
            assert recipient.hardness is not Hardness.HARD, recipient


def test_other_mail_is_no_bounce() -> None:
    assert [report for _, report in mails("nonbounce", "autoreply", "challenge") if report.kind is Kind.BOUNCE] == []
