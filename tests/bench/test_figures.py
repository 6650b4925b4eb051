"""The table at the end of every benchmark, and its exit code."""

from __future__ import annotations

from math import nan

import pytest

from tests.bench.figures import Figure, amount, at_least, at_most, conclude, missing, more, quicker, shown, tell


@pytest.mark.parametrize(
    ("figure", "kept"),
    [
        (quicker("plan", 0.3, 1.8, 5), True),
        (quicker("plan", 0.4, 1.8, 5), False),
        (quicker("plan", 0.4, nan, 5), False),
        (more("decisions", 30_000, 10_000, 3), True),
        (more("decisions", 20_000, 10_000, 3), False),
        (at_most("memory", 200, 200, "MB"), True),
        (at_most("memory", 201, 200, "MB"), False),
        (at_least("rows", 5_000, 5_000), True),
        (at_least("rows", 4_999, 5_000), False),
        (missing("ansible", "cannot be installed"), False),
        (shown("load", 3.0, ""), None),
    ],
)
def test_a_bound_is_kept_or_not(figure: Figure, kept: bool | None) -> None:
    assert figure.kept is kept


def test_the_table_names_every_figure_and_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude([quicker("plan", 0.3, 1.8, 5), at_most("memory", 201, 200, "MB")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["plan", "0.300", "s", "1.80", "s", "6.00", "x", ">=", "5", "x", "ok"]
    assert lines[2].endswith("<= 200 MB  short")


def test_only_a_missed_bound_fails_a_benchmark() -> None:
    assert conclude([quicker("plan", 0.3, 1.8, 5), shown("load", 3.0, "")]) == 0


def test_a_figure_is_told_in_one_line_beside_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    tell(at_most("memory", 201, 200, "MB"))
    assert capsys.readouterr() == ("", "bench: memory  201 MB  <= 200 MB  short\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.012 s"), (1.5, "1.50 s"), (12.34, "12.3 s"), (17_197.4, "17,197 s"), (8, "8 s"), (nan, "-")],
)
def test_amounts_have_three_digits_that_count(value: float, text: str) -> None:
    assert amount(value, "s") == text
