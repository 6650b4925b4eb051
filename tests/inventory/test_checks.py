"""Rules over the whole fleet: what they read, and that one broken section silences only rules that read it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from smtpctl.inventory.checks import ALL_CHECKS
from smtpctl.inventory.checks.check import Check
from smtpctl.inventory.checks.overlay import overlay_findings
from smtpctl.inventory.checks.owned_parameters import reason_against
from smtpctl.inventory.document import read_document
from smtpctl.inventory.judge import adapter, judge
from smtpctl.model.fleet import Fleet
from smtpctl.model.value import fields_of

BAD = Path(__file__).parent / "bad"


@pytest.fixture(scope="module")
def fleets(repository: Path) -> list[Fleet]:
    """Every fleet whose parts have their shape: those of the repository, and bad ones that only the checks refuse."""
    found = []
    for path in sorted(repository.glob("inventory/*.yml")) + sorted(BAD.glob("*/inventory.yml")):
        document, _ = read_document(path.read_text())
        if document is not None:
            try:
                found.append(adapter().validate_python(document.data))
            except ValidationError:
                continue
    return found


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.name)
def test_a_check_reads_no_section_but_those_it_names(check: Check, fleets: list[Fleet]) -> None:
    assert len(fleets) > 50
    for fleet in fleets:
        partial = copy.copy(fleet)
        for section in set(fields_of(Fleet)) - set(check.reads):
            del partial.__dict__[section]
        assert list(check.find(partial)) == list(check.find(fleet))


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.name)
def test_each_check_finds_something_in_a_bad_inventory_and_nothing_in_a_good_one(
    check: Check, fleets: list[Fleet]
) -> None:
    found = [list(check.find(fleet)) for fleet in fleets]
    assert any(found)
    assert not found[0], "sorted first: inventory/lab.yml"


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.name)
def test_each_check_states_its_rule_in_words(check: Check) -> None:
    assert check.rule.endswith(".")
    assert set(check.reads) <= set(fields_of(Fleet))


def test_a_broken_section_silences_only_rules_that_read_it(small_with: Callable[[dict[str, Any]], str]) -> None:
    text = small_with({"hosts": {"mail1": {"address": "nowhere"}}, "mailboxes": {"postmaster": {"addresses": []}}})
    messages = [problem.message for problem in judge(text, "x.yml")[2]]
    assert messages == [
        "hosts.mail1.address: 'nowhere' is not an IP address",
        "abuse@ is delivered to no mailbox (RFC 2142 §2)",
        "postmaster@ is delivered to no mailbox (RFC 5321 §4.5.1)",
    ]


def test_a_misspelt_section_silences_rules_about_the_one_that_was_meant(small: str) -> None:
    problems = judge(small.replace("mailboxes:", "mailboxs:"), "x.yml")[2]
    assert [problem.hint for problem in problems] == ["did you mean 'mailboxes'?"]


def test_limits_name_each_credential_that_they_hold_up(small_with: Callable[[dict[str, Any]], str]) -> None:
    def credential(recipients: int) -> dict[str, Any]:
        return {"senders": ["shop.example.com"], "stream": "transactional", "recipients_per_message": recipients}

    limits = [{"counted": "recipients", "count": 50, "per": "1h"}]
    credentials = {"shop": credential(51), "fits": credential(50), "bulk": credential(500)}
    own = {"own": {**credential(500), "limits": [{"count": 500, "per": "1h"}]}}
    text = small_with({"limits": limits, "credentials": {**credentials, **own}})
    messages = [problem.message for problem in judge(text, "x.yml")[2]]
    assert [name for name in (*credentials, "own") if any(repr(name) in message for message in messages)] == [
        "shop",
        "bulk",
    ]


@pytest.mark.parametrize(
    ("parameter", "owned"),
    (
        ("smtpd_relay_restrictions", True),
        ("smtpd_end_of_data_restrictions", True),
        ("mynetworks", True),
        ("queue_directory", True),
        ("smtpd_milters", True),
        ("smtpd_sasl_path", True),
        ("smtp_bind_address", True),
        ("syslog_name", True),
        ("message_size_limit", False),
        ("smtpd_client_connection_count_limit", False),
        ("smtp_tls_loglevel", False),
        ("minimal_backoff_time", False),
        ("smtpd_banner", False),
    ),
)
def test_a_parameter_is_smtpctls_own(parameter: str, owned: bool) -> None:
    assert (reason_against(parameter) is not None) is owned


def test_an_overlay_is_held_against_the_built_in_paths() -> None:
    built_in = ("balancer/etc/haproxy/haproxy.cfg.j2", "base/role.yml")
    files = ("balancer/etc/haproxy/haproxy.cfg.j2", "base/roles.yml", "base/.gitkeep")
    findings = list(overlay_findings("ours", files, built_in))
    assert [(finding.path, finding.hint) for finding in findings] == [
        (("templates",), "the nearest one is base/role.yml")
    ]
    assert "ours/base/roles.yml" in findings[0].message
    assert list(overlay_findings("ours", files, None)) == []
    assert len(list(overlay_findings("ours", None, built_in))) == 1
