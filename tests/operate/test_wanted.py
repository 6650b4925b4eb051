"""A selection in the fleet's words, and what each Postfix instance is asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpctl.errors import UsageError
from smtpctl.inventory import load_fleet
from smtpctl.operate.wanted import Wanted, check, request, sender_forms

FLEET = load_fleet(Path(__file__).resolve().parents[2] / "inventory" / "lab.yml")


def asked(wanted: Wanted, host: str = "relay1") -> dict[str, Any]:
    found = request(wanted, FLEET, host, lines=False)
    return {**found["instances"], "others": found["others"]}


def test_nothing_chosen_means_every_instance_whole() -> None:
    assert asked(Wanted()) == {"submission": {}, "transactional": {}, "marketing": {}, "others": {}}


def test_a_pool_is_its_instance_and_the_credentials_whose_mail_goes_there() -> None:
    assert asked(Wanted(pools=("marketing",))) == {
        "submission": {"credential": ["newsletter"]},
        "transactional": None,
        "marketing": {},
        "others": None,
    }


def test_a_stream_is_its_pool_on_relays_and_its_credentials_on_submission_hosts() -> None:
    found = asked(Wanted(streams=("transactional",), domains=("gmail.test",)))
    assert found["submission"] == {"credential": ["shop", "trickle"], "domain": ["gmail.test"]}
    assert found["transactional"] == {"domain": ["gmail.test"]}
    assert found["marketing"] is None


def test_a_credential_is_known_by_the_queue_file_on_submission_and_by_the_ledger_on_relays() -> None:
    wanted = Wanted(credentials=("shop",), journeyed={"relay1": {"transactional": ["4jXFpx03ztzFstW"]}})
    found = asked(wanted)
    assert found["submission"] == {"credential": ["shop"]}
    assert found["transactional"] == {"ids": ["4jXFpx03ztzFstW"]}
    assert found["marketing"] is found["others"] is None
    assert asked(wanted, "relay2")["transactional"] is None


def test_a_sender_is_looked_for_as_submitted_and_as_rewritten() -> None:
    assert sender_forms(FLEET, "Orders@shop.test") == ("orders@shop.test", "bounce+orders@bounce.shop.test")
    assert sender_forms(FLEET, "@shop.test") == ("@shop.test", "@bounce.shop.test")
    assert sender_forms(FLEET, "@elsewhere.test") == ("@elsewhere.test",)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(credentials=("shopp",)), "no credential 'shopp'"),
        (Wanted(streams=("bulk",)), "no stream 'bulk'"),
        (Wanted(pools=("bulk",)), "no pool 'bulk'"),
        (Wanted(providers=("gogle",)), "no provider 'gogle'"),
    ],
)
def test_a_name_that_the_inventory_does_not_have_is_a_usage_error(wanted: Wanted, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(wanted, FLEET)
