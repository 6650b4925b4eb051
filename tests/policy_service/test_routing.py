"""Provider routing: the table, its sources by weight, and the socketmap that speaks it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.route import Router
from policy_service.routing import parse
from policy_service.ruleset import RulesError
from policy_service.socketmap import LARGEST_REQUEST, NetstringError, NetstringParser, netstring
from smtpctl.inventory import load_fleet
from smtpctl.render.context_policy import routing_table

LAB = Path(__file__).parents[2] / "inventory" / "lab.yml"


@pytest.fixture(scope="module")
def table() -> str:
    return json.dumps(routing_table(load_fleet(LAB), "relay1"))


@pytest.fixture
def router(tmp_path: Path, table: str) -> Router:
    path = tmp_path / "routing.json"
    path.write_text(table, encoding="utf-8")
    return Router(path)


@pytest.mark.parametrize(
    ("request_", "answers"),
    [
        (b"route-transactional a@gmail.test", {b"OK google-1:", b"OK google-2:"}),
        (b"route-transactional A@GMAIL.TEST", {b"OK google-1:", b"OK google-2:"}),
        (b"route-marketing a@outlook.test", {b"OK microsoft-1:"}),
        (b"route-marketing a@nowhere.test", {b"OK default-1:"}),
        (b'route-marketing "a@b c"@yahoo.test', {b"OK yahoo-1:"}),
        (b"route-marketing *", {b"NOTFOUND "}),
        (b"route-marketing gmail.test", {b"NOTFOUND "}),
        (b"route-marketing @gmail.test", {b"NOTFOUND "}),
        (b"route-marketing a@", {b"NOTFOUND "}),
        (b"route-marketing", {b"NOTFOUND "}),
        (b"route-other a@gmail.test", {b"NOTFOUND "}),
        (b"route a@gmail.test", {b"NOTFOUND "}),
        (b"", {b"NOTFOUND "}),
        (b"route-marketing \xff\xfe@gmail.test", {b"OK google-1:"}),
    ],
)
def test_an_address_gets_its_providers_transport(router: Router, request_: bytes, answers: set[bytes]) -> None:
    assert router.answer(request_) in answers


def test_sources_are_used_by_weight_and_an_address_keeps_its_source(table: str) -> None:
    routing = parse(table)
    addresses = [f"user{number}@gmail.test" for number in range(3000)]
    used = Counter(routing.transport("route-transactional", address, lambda _: "") for address in addresses)
    # relay1 has two transactional sources with the weights 2 and 1.
    assert 1850 < used["google-1"] < 2150
    assert used["google-1"] + used["google-2"] == 3000
    for address in addresses[:50]:
        spellings = (address, address.upper())
        found = {routing.transport("route-transactional", spelled, lambda _: "") for spelled in spellings}
        assert len(found) == 1


def test_a_bad_table_leaves_the_old_one_in_force(router: Router) -> None:
    router._path.write_text('{"version": 1}', encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        router.reload()
    assert len(caught.value.problems) == 3
    assert router.answer(b"route-marketing a@gmail.test") == b"OK google-1:"


def test_a_domain_of_two_providers_is_refused(table: str) -> None:
    document = json.loads(table)
    document["providers"]["yahoo"]["domains"].append("GMAIL.test")
    with pytest.raises(RulesError, match="belongs to google already"):
        parse(json.dumps(document))


@pytest.mark.parametrize(
    ("exchange", "provider"),
    [
        ("aspmx.l.google.com", "google"),
        ("google.com", "google"),
        ("notgoogle.com", "default"),
        ("google.com.evil.example", "default"),
        ("mx1.mail.hosted.google.com", "hosted"),
        ("", "default"),
        ("com", "default"),
    ],
)
def test_a_mail_host_belongs_to_the_provider_with_the_longest_domain_above_it(exchange: str, provider: str) -> None:
    providers = {
        "google": {"domains": [], "mx": ["Google.com"]},
        "hosted": {"domains": [], "mx": ["hosted.google.com"]},
    }
    document = {"version": 1, "default": "default", "providers": providers, "pools": {"bulk": {"weights": [1]}}}
    routing = parse(json.dumps(document))
    assert routing.transport("route", "a@company.example", lambda domain: exchange) == f"{provider}-1"


@given(st.lists(st.binary(max_size=30), max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_any_cut_of_the_stream_gives_the_same_netstrings(contents: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(netstring, contents))
    parser = NetstringParser()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [text for first, last in zip(edges, edges[1:], strict=False) for text in parser.feed(stream[first:last])]  # noqa: RUF007
    assert found == contents


@pytest.mark.parametrize(
    "stream", [b"x", b":,", b"-1:,", b"3:abcd", b"99999999999", b"12345678:", b"%d:" % (LARGEST_REQUEST + 1), b"\xb2:"]
)
def test_what_is_no_netstring_is_refused(stream: bytes) -> None:
    with pytest.raises(NetstringError):
        NetstringParser().feed(stream)


@given(st.binary(max_size=200))
def test_any_bytes_are_netstrings_or_refused(stream: bytes) -> None:
    try:
        found = NetstringParser().feed(stream)
    except NetstringError:
        return
    assert sum(map(len, found)) <= len(stream)
