"""A document read in pieces is the one that json reads at once; what json refuses is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.json_pieces import pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read(text: str) -> tuple[Any, int]:
    """What the document holds, and in how many pieces it came."""
    steps, count = pieces(text, ("large",)), 0
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return ended.value, count
        count += 1


@given(VALUES, VALUES, st.sampled_from([None, 2]))
def test_both_ways_of_reading_agree(large: Any, value: Any, indent: int | None) -> None:
    for document in (value, {"large": large, "other": value}):
        text = f" {json.dumps(document, indent=indent)}\n"
        assert read(text)[0] == json.loads(text)


def test_a_large_member_comes_in_pieces_and_others_at_once() -> None:
    document = {"large": {str(number): [number] for number in range(100)}, "other": dict.fromkeys("abc", 1)}
    assert read(json.dumps(document))[1] == 100 + 2


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{,}", '{"a" 1}', '{"a":1}}', '{"a":1} 2', "{'a':1}",
     '{"a\n":1}', '{"large":{"a":1]}', '{"large":{"a":1 "b":2}}', '{"large":{"a"}}'],
)  # fmt: skip
def test_what_json_refuses_is_refused(text: str) -> None:
    for reader in (json.loads, read):
        with pytest.raises(json.JSONDecodeError):
            reader(text)


@given(st.text(alphabet='{}[]:,"a1 \n', max_size=30))
def test_no_text_is_read_that_json_refuses(text: str) -> None:
    try:
        meant = json.loads(text)
    except json.JSONDecodeError:
        with pytest.raises(json.JSONDecodeError):
            read(text)
    else:
        assert read(text)[0] == meant
