"""Which messages of a queue are meant: lines of postqueue -j against selections."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smtpctl.transport.agent.selection import MOST_GROUPS, OTHERS, Count, Groups, Selector, alike, groups_of

NOW = 1_800_000_000.0

#: What postqueue(1) prints of a message that was put off an hour ago, and of one that was never tried.
DEFERRED = {
    "queue_name": "deferred",
    "queue_id": "4jXFpx03ztzFstW",
    "arrival_time": NOW - 3600,
    "message_size": 2048,
    "forced_expire": False,
    "sender": "bounce+orders@bounce.shop.test",
    "recipients": [
        {"address": "Ada@Gmail.test", "delay_reason": "host mx.gmail.test[10.78.1.1] said: 452 4.2.2 Mailbox FULL"},
        {"address": "bob@yahoo.test", "delay_reason": "connect to mx.yahoo.test[10.78.1.3]:25: Connection timed out"},
    ],
}
FRESH = {
    "queue_name": "active",
    "queue_id": "4jXFpN6YsTzFstN",
    "arrival_time": NOW - 5,
    "message_size": 700,
    "forced_expire": False,
    "sender": "",
    "recipients": [{"address": "ann@company.test"}],
}


def provider_of(domain: str) -> str:
    return {"gmail.test": "google", "company.test": "google", "yahoo.test": "yahoo"}.get(domain, "default")


def ids(selection: dict[str, Any]) -> list[str]:
    selector = Selector(selection, provider_of, NOW)
    found = (selector.choose(json.dumps(entry).encode()) for entry in (DEFERRED, FRESH))
    return [chosen.id for chosen in found if chosen is not None]


@pytest.mark.parametrize(
    "selection",
    [
        {"ids": ["4jXFpx03ztzFstW", "other"]},
        {"queue": ["hold", "deferred"]},
        {"address": ["ada@gmail.test"]},
        {"domain": ["gmail.test"]},
        {"domain": ["nowhere.test", "yahoo.test"]},
        {"sender": ["bounce+orders@bounce.shop.test"]},
        {"sender": ["@bounce.shop.test"]},
        {"provider": ["yahoo"]},
        {"older": 3600},
        {"larger": 2048},
        {"reply": ["mailbox full"]},
        {"provider": ["google"], "reply": ["452"], "older": 60, "queue": ["deferred"]},
    ],
    ids=str,
)
def test_a_selection_means_the_message_that_was_put_off(selection: dict[str, Any]) -> None:
    assert ids(selection) == [DEFERRED["queue_id"]]


@pytest.mark.parametrize(
    "selection",
    [
        {"sender": ["@shop.test"]},
        {"sender": ["orders@bounce.shop.test"]},
        {"domain": ["test"]},
        # what concerns a recipient holds for one recipient, not for one each
        {"domain": ["gmail.test"], "reply": ["timed out"]},
        {"address": ["bob@yahoo.test"], "provider": ["google"]},
        {"older": 3601},
        {"smaller": 100},
        {"queue": ["hold"]},
    ],
    ids=str,
)
def test_a_selection_means_neither(selection: dict[str, Any]) -> None:
    assert ids(selection) == []


def test_without_any_member_everything_is_meant() -> None:
    assert ids({}) == [DEFERRED["queue_id"], FRESH["queue_id"]]


def test_the_null_sender_and_the_young_are_found() -> None:
    assert ids({"sender": [""]}) == ids({"younger": 60}) == ids({"smaller": 700}) == [FRESH["queue_id"]]


def test_a_member_that_no_selection_has_is_an_error_and_not_ignored() -> None:
    with pytest.raises(ValueError, match="a selection has no domian"):
        Selector({"domian": ["gmail.test"]}, provider_of, NOW)


def test_counting_says_how_many_messages_have_other_recipients_too() -> None:
    chosen = Selector({"domain": ["gmail.test"]}, provider_of, NOW).choose(json.dumps(DEFERRED).encode())
    assert chosen is not None
    count = Count()
    count.add(chosen)
    assert count.document() == {"bytes": 2048, "messages": 1, "oldest": NOW - 3600, "others": 1, "recipients": 1}


def test_groups_are_of_the_chosen_recipients_only() -> None:
    chosen = Selector({"domain": ["gmail.test"]}, provider_of, NOW).choose(json.dumps(DEFERRED).encode())
    assert chosen is not None
    assert set(groups_of(chosen, "domain", provider_of)) == {"gmail.test"}
    assert set(groups_of(chosen, "provider", provider_of)) == {"google"}
    assert set(groups_of(chosen, "sender-domain", provider_of)) == {"bounce.shop.test"}


def test_replies_that_differ_in_addresses_and_numbers_are_alike() -> None:
    one = alike("host mx.gmail.test[10.78.1.1] said: 452 4.2.2 <ada@gmail.test>: full")
    other = alike("host mx.gmail.test[10.78.1.9] said: 452 4.2.2 <bob@gmail.test>: full")
    assert one == other == "host mx.gmail.test[#.#.#.#] said: 452 4.2.2 <…>: full"


def test_what_a_reply_is_known_by_stays() -> None:
    assert alike("host a[10.78.1.1] said: 421-4.7.28 9 too many") != alike(
        "host a[10.78.1.1] said: 421-4.7.0 9 too many"
    )
    assert alike("connect to a[10.78.1.1]:25: Connection timed out") == "connect to a[#.#.#.#]:#: Connection timed out"
    assert alike("") == "(not tried yet)"


def test_groups_stay_bounded_and_lose_no_message() -> None:
    groups = Groups()
    for number in range(MOST_GROUPS * 2):
        groups.add([f"domain{number}.test", "gmail.test"])
    assert len(groups.counts) <= MOST_GROUPS + 2
    assert groups.counts["gmail.test"] == MOST_GROUPS * 2
    assert groups.counts.total() == MOST_GROUPS * 4
    assert groups.counts[OTHERS] > 0
