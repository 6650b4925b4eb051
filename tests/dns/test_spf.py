"""SPF texts: exactly the given addresses, within the limits of RFC 7208, however many there are."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpctl.dns.spf import LONGEST_RECORD, MOST_INCLUDES, spf_texts

FOUR = st.ip_addresses(v=4).map(str)
SIX = st.ip_addresses(v=6).map(str)


def allowed(texts: dict[str, str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks that the main text allows, its includes followed."""
    networks = []
    pending = [""]
    while pending:
        first, *terms, last = texts[pending.pop()].split(" ")
        assert (first, last) == ("v=spf1", "-all")
        for term in terms:
            mechanism, value = term.split(":", 1)
            if mechanism == "include":
                pending.append(value)
            else:
                network = ipaddress.ip_network(value)
                assert mechanism == f"ip{network.version}"
                networks.append(network)
    return networks


def test_a_few_addresses_are_listed_as_they_stand() -> None:
    assert spf_texts(["192.0.2.1", "2001:db8::1", "192.0.2.1"], "mail.test") == {
        "": "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"
    }


def test_without_addresses_nobody_may_send() -> None:
    assert spf_texts([], "mail.test") == {"": "v=spf1 -all"}


def test_neighbours_are_merged_only_when_the_list_is_too_long() -> None:
    assert spf_texts([f"192.0.2.{last}" for last in range(64)], "mail.test") == {"": "v=spf1 ip4:192.0.2.0/26 -all"}


@settings(max_examples=60)
@given(st.lists(st.one_of(FOUR, SIX), max_size=300))
def test_exactly_the_given_addresses_may_send(addresses: list[str]) -> None:
    texts = spf_texts(iter(addresses), "mail.test")
    networks = allowed(texts)
    assert sum(network.num_addresses for network in networks) == len(set(addresses))
    for address in addresses:
        parsed = ipaddress.ip_address(address)
        assert any(parsed in network for network in networks if network.version == parsed.version)
    assert len(texts) - 1 <= MOST_INCLUDES
    assert len(texts[""]) <= LONGEST_RECORD


@pytest.mark.parametrize("count", [20, 40, 100, 150])
def test_a_long_list_is_spread_over_records_that_each_fit_one_answer(count: int) -> None:
    texts = spf_texts([f"198.51.{number}.1" for number in range(count)], "mail.test")
    assert all(len(text) <= LONGEST_RECORD for text in texts.values())
    assert list(texts) == ["", *(f"_spf{number}.mail.test" for number in range(1, len(texts)))]


def test_a_thousand_addresses_still_take_nine_look_ups_at_most() -> None:
    texts = spf_texts([f"198.{number // 250}.{number % 250}.1" for number in range(1000)], "mail.test")
    assert len(texts) - 1 == MOST_INCLUDES
