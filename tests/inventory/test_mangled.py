"""Whatever stands in the file, the answer is a fleet or problems with places in it: never another exception."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpctl.inventory.judge import judge
from smtpctl.model.fleet import Fleet

_SMALL = """\
version: 1
fleet: small
ssh: {port: 22, user: root}
network: {management: [203.0.113.0/28], interface: eth0}
domains:
  infrastructure: mail.example.com
  feedback: feedback.mail.example.com
  sending:
    shop.example.com: {bounce: bounce.shop.example.com, dkim: {rsa: a, ed25519: b}}
hosts:
  mail1:
    address: 192.0.2.20
    roles: [balancer, submission, relay, feedback, mailbox, control]
    sources:
      - {address: 192.0.2.21, helo: out1.mail.example.com, pool: transactional, weight: 2}
    parameters: {submission: {message_size_limit: "1000"}}
balancing: {name: smtp.mail.example.com, virtual_address: 192.0.2.10/24}
streams: {transactional: {pool: transactional}}
pools: {transactional: {port: 10025, queue_lifetime: 1d}}
providers: {google: {domains: [gmail.com], mx: [google.com]}, default: {connections: 5}}
credentials: {shop: {senders: [shop.example.com], stream: transactional, limits: [{count: 500, per: 1h, burst: 200}]}}
limits: [{key: credential, counted: recipients, count: 10000, per: 1h}]
mailboxes: {postmaster: {addresses: [postmaster, abuse]}}
"""

#: Pieces that mean something to YAML or to the inventory.
_PIECES = st.sampled_from(
    [
        *"\t\n:-[]{}&*!|>'\"%@`#,? ~\x00\ufeff\u2028",
        *(": ", "- ", "---\n", "...\n", "<<: ", "&a ", "*a", "!!str ", '"\\ud800"', '"\\UFFFFFFFF"', "%YAML 1.99999\n"),
        *("yes", "12:30", "0", "-1", "1e400", "99999999999999999999", "10025", "192.0.2.20", "::", "relay", "null"),
    ]
)
_TEXT = st.text(max_size=12) | _PIECES

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _PIECES
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def answer_is_a_fleet_or_problems(text: str) -> None:
    fleet, _, problems = judge(text, "inventory.yml")
    lines = text.replace("\r\n", "\n").split("\n")
    if fleet is None:
        assert problems
    else:
        assert isinstance(fleet, Fleet)
        assert problems == ()
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert problem.hint
        if not set("\r\x85\u2028\u2029") & set(text):  # YAML breaks lines at these too
            assert problem.line <= len(lines) + 1


@settings(max_examples=150)
@given(edits=st.lists(st.tuples(st.integers(0, len(_SMALL)), st.integers(0, 20), _TEXT), min_size=1, max_size=4))
def test_edited_text(edits: list[tuple[int, int, str]]) -> None:
    text = _SMALL
    for position, removed, added in edits:
        text = text[:position] + added + text[position + removed :]
    answer_is_a_fleet_or_problems(text)


@settings(max_examples=150)
@given(st.text(max_size=200) | st.lists(_PIECES, max_size=30).map("".join))
def test_any_text(text: str) -> None:
    answer_is_a_fleet_or_problems(text)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


_PATHS = _paths(yaml.safe_load(_SMALL))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(_PATHS[1:]), _VALUES), min_size=1, max_size=3))
def test_replaced_values(replacements: list[tuple[tuple[str | int, ...], Any]]) -> None:
    data = yaml.safe_load(_SMALL)
    for path, value in replacements:
        _replace(data, path, value)
    answer_is_a_fleet_or_problems(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


@settings(max_examples=80)
@given(st.sampled_from(_PATHS[1:]), st.text(min_size=1, max_size=10))
def test_renamed_or_removed_keys(path: tuple[str | int, ...], name: str) -> None:
    data = yaml.safe_load(_SMALL)
    parent: Any = data
    for step in path[:-1]:
        parent = parent[step]
    value = parent.pop(path[-1])
    if isinstance(parent, dict):
        parent[name] = value
    answer_is_a_fleet_or_problems(yaml.safe_dump(data, sort_keys=False))


def _replace(data: Any, path: tuple[str | int, ...], value: Any) -> None:
    for step in path[:-1]:
        try:
            data = data[step]
        except (TypeError, KeyError, IndexError):  # an earlier replacement took the place away
            return
    last: Any = path[-1]
    if isinstance(data, dict) or (isinstance(data, list) and isinstance(last, int) and last < len(data)):
        data[last] = value
