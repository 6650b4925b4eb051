"""Overriding parameters of a main.cf."""

from __future__ import annotations

import pytest

from smtpctl.render.postfix import override_parameters


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("a = 1\nb = 2\n", {}, "a = 1\nb = 2\n"),
        ("a = 1\nb = 2\n", {"a": "3"}, "a = 3\nb = 2\n"),
        ("a =\n    1,\n    2\nb = 2\n", {"a": "3"}, "a = 3\nb = 2\n"),
        ("# a = 1\na = 2\n", {"a": "3"}, "# a = 1\na = 3\n"),
        ("aa = 1\n", {"a": "3"}, "aa = 1\n\n# From `parameters` of the inventory\na = 3\n"),
        ("a = 1\n", {"c": "x", "b": "y"}, "a = 1\n\n# From `parameters` of the inventory\nb = y\nc = x\n"),
    ],
)
def test_parameters_replace_in_place_or_stand_at_the_end(text: str, parameters: dict[str, str], expected: str) -> None:
    assert override_parameters(text, parameters) == expected
