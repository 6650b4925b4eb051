"""``policy doctor`` and ``policy explain`` over SSH, of the running hosts; a Postfix misconfigured by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.lab.support import AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAIN = "/etc/postfix-submission/main.cf"
ASK = "check_policy_service { unix:smtpctl/policy.sock, timeout=10s,"

#: Edits as somebody makes them by hand, several at once -> what the doctor has to say about each.
BY_HAND = (
    {
        ("timeout=10s", "timeout=10s, try_limit=1"): "try_limit 1",
        ("451 4.3.5", "DUNNO"): "a silent service means mail without limits",
        ("smtpd_data_restrictions", "smtpd_etrn_restrictions"): "not asked at DATA: nothing is charged",
        ("reject_non_fqdn_sender,", "permit_sasl_authenticated,"): "permit_sasl_authenticated stands before",
    },
    {
        ("timeout=10s,", ""): "no timeout is stated",
        ("unix:smtpctl/policy.sock", "unix:smtpctl/other.sock"): "nobody can be reached there",
    },
)


@pytest.fixture
def edit(applied: AppliedFleet) -> Iterator[Callable[[Iterable[tuple[str, str]]], None]]:
    """Edits edge1's main.cf as somebody would by hand; nothing is reloaded before the file is put back."""
    whole = applied.lab.run("edge1", ["cat", MAIN]).stdout

    def write(text: str) -> None:
        applied.lab.run("edge1", ["sh", "-c", f"cat > {MAIN}"], input=text)

    def edit(changes: Iterable[tuple[str, str]]) -> None:
        text = whole
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        write(text)

    yield edit
    write(whole)
    applied.lab.run("edge1", ["systemctl", "reload", "postfix@submission"])


def test_the_doctor_finds_a_fleet_well_and_each_setting_that_somebody_spoilt_by_hand(
    applied: AppliedFleet, edit: Callable[[Iterable[tuple[str, str]]], None]
) -> None:
    well = smtpctl("policy", "doctor", str(applied.inventory))
    assert [line.partition(": ")[2] for line in well.stdout.splitlines()] == [
        "Postfix asks the policy service as it should"
    ] * 2
    for expected in BY_HAND:
        edit(expected)
        ill = smtpctl("policy", "doctor", str(applied.inventory), "--host", "edge1", "--json", check=False)
        assert ill.returncode == 1
        found = [one["text"] for one in json.loads(ill.stdout)["hosts"]["edge1"]]
        for words in expected.values():
            assert any(words in text for text in found), (words, found)


def test_explain_asks_a_host_about_a_recipient_that_no_command_line_there_names(applied: AppliedFleet) -> None:
    asked = ("--credential", "shop", "--sender", "a@shop.test", "--recipient", "ada@gmail.test", "--size", "1000")
    explained = smtpctl("policy", "explain", str(applied.inventory), *asked, "--json")
    document = json.loads(explained.stdout)
    assert document["answer"] == "FILTER transactional:[127.0.0.1]:10025"
    assert [view for view in document["rules"] if view["unasked"]] == []
    assert {one["key"].rpartition(":")[0] for one in document["quotas"]} == {
        "credential:recipients:3600",
        "sender:messages:3600",
    }
