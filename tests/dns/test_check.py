"""What counts as published: answers as data, and the real thing against a name server."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from smtpctl.dns import Record, records_for, zone_lines
from smtpctl.dns.check import Answer, Question, findings, questions
from smtpctl.dns.resolve import published
from smtpctl.errors import SmtpctlError
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets

SPF = Record("shop.test.", 3600, "TXT", '"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"')
KEY = Record("r1._domainkey.shop.test.", 3600, "TXT", '"v=DKIM1; k=rsa; p=AbCd"')
POLICY = Record("_dmarc.shop.test.", 3600, "TXT", '"v=DMARC1; p=reject; rua=mailto:dmarc@shop.test"')
MX = Record("shop.test.", 3600, "MX", "10 feedback1.lab.test.")


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (SPF, ('"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"',)),
        (SPF, ('"v=spf1 ip4:192.0.2.2 " "ip4:192.0.2.1 -ALL"',)),
        (SPF, ('"google-site-verification=x"', SPF.value)),
        (KEY, ('"v=DKIM1;k=rsa;p=Ab" "Cd"',)),
        (KEY, ('"v=DKIM1; p=Ab Cd; k=rsa;"',)),
        (POLICY, ('"v=DMARC1; p=reject; rua=mailto:dmarc@shop.test;"',)),
        (MX, ("10 Feedback1.LAB.test.",)),
    ],
)
def test_what_means_the_same_is_as_wanted(record: Record, answer: Answer) -> None:
    assert findings([record], {(record.name, record.type): answer}) == ()


@pytest.mark.parametrize(
    ("record", "answer", "line"),
    [
        (SPF, (), "missing: shop.test. TXT "),
        (SPF, ('"google-site-verification=x"',), "missing: shop.test. TXT "),
        (SPF, ('"v=spf1 ip4:192.0.2.1 -all"',), 'wrong: shop.test. TXT is "v=spf1 ip4:192.0.2.1 -all"; wanted: '),
        (SPF, ('"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ~all"',), "wrong: "),
        (SPF, ('"v=spf1 -all ip4:192.0.2.1 ip4:192.0.2.2"',), "wrong: "),
        (SPF, (SPF.value, SPF.value), "wrong: "),
        (SPF, (SPF.value, '"v=spf1 include:other.test -all"'), "wrong: "),
        (KEY, ('"v=DKIM1; k=rsa; p=aBCd"',), "wrong: "),
        (KEY, ('"v=DKIM1; k=ed25519; p=AbCd"',), "wrong: "),
        (POLICY, ('"v=DMARC1; p=none; rua=mailto:dmarc@shop.test"',), "wrong: "),
        (MX, ("10 feedback1.lab.test.", "20 old.test."), "wrong: "),
        (MX, ("20 feedback1.lab.test.",), "wrong: "),
        (MX, "SERVFAIL from 192.0.2.53", "unanswered: shop.test. MX: SERVFAIL from 192.0.2.53"),
    ],
)
def test_what_means_something_else_is_found(record: Record, answer: Answer, line: str) -> None:
    [finding] = findings([record], {(record.name, record.type): answer})
    assert str(finding).startswith(line)


def test_each_name_and_type_is_asked_once() -> None:
    assert questions([MX, Record("shop.test.", 60, "MX", "20 feedback2.lab.test."), SPF]) == (
        ("shop.test.", "MX"),
        ("shop.test.", "TXT"),
    )


def ask(records: tuple[Record, ...], port: int) -> dict[Question, Answer]:
    return published(questions(records), server="127.0.0.1", port=port)


def test_a_name_server_with_our_zone_has_nothing_missing(
    fleet: Fleet, secrets: Secrets, name_server: Callable[[str], int]
) -> None:
    records = records_for(fleet, secrets)
    assert findings(records, ask(records, name_server(zone_lines(records)))) == ()


def test_a_name_server_with_a_spoilt_zone_is_found_out(
    fleet: Fleet, secrets: Secrets, name_server: Callable[[str], int]
) -> None:
    records = records_for(fleet, secrets)
    zone = re.sub("^_dmarc.shop.test. .*\n", "", zone_lines(records), flags=re.M)
    zone = zone.replace("out1.lab.test. 3600 IN A 10.78.2.1", "out1.lab.test. 3600 IN A 10.78.2.99")
    zone = zone.replace("10 feedback1.lab.test.", "10 mx.elsewhere.test.", 1)
    found = findings(records, ask(records, name_server(zone)))
    assert {(finding.problem, finding.name, finding.type) for finding in found} == {
        ("missing", "_dmarc.shop.test.", "TXT"),
        ("wrong", "out1.lab.test.", "A"),
        ("wrong", "lab.test.", "MX"),
    }


def test_a_key_longer_than_a_udp_answer_of_old_is_read_whole(
    fleet: Fleet, secrets: Secrets, name_server: Callable[[str], int]
) -> None:
    record = Record("long.test.", 60, "TXT", " ".join(f'"{letter * 255}"' for letter in "abcdefgh"))
    port = name_server(zone_lines([record]))
    assert published(questions([record]), server="127.0.0.1", port=port) == {("long.test.", "TXT"): (record.value,)}


def test_a_silent_server_gives_a_reason_and_not_a_verdict() -> None:
    [answer] = published([("shop.test.", "MX")], server="127.0.0.1", port=9, seconds=0.3).values()
    assert isinstance(answer, str)
    assert "127.0.0.1" in answer


def test_a_server_by_name_is_refused_with_the_right_form() -> None:
    with pytest.raises(SmtpctlError, match="no name server to ask") as caught:
        published([("shop.test.", "MX")], server="ns.example.com")
    assert "--server 192.0.2.53" in caught.value.hint
