"""Plain frozen values: made by place or by name, equal by their fields, and never changed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, field, replace
from typing import Any

import pytest

from smtpctl.model.frozen import Frozen


class Point(Frozen):
    x: int
    y: int = 2
    notes: Mapping[str, str] = field(default_factory=dict, repr=False)


class Named(Point):
    name: str = ""


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (Point(1), {"x": 1, "y": 2, "notes": {}}),
        (Point(1, 3), {"x": 1, "y": 3, "notes": {}}),
        (Point(y=4, x=1), {"x": 1, "y": 4, "notes": {}}),
        (Named(1, name="here"), {"x": 1, "y": 2, "notes": {}, "name": "here"}),
    ],
)
def test_a_value_is_made_by_place_or_by_name(made: Point, expected: dict[str, Any]) -> None:
    assert asdict(made) == expected


@pytest.mark.parametrize(
    ("placed", "named", "wrong"),
    [
        ((), {}, "x"),
        ((1,), {"z": 3}, "z"),
        ((), {"z": 3}, "x, z"),
        ((1, 2, {}, 4), {}, "more than its fields"),
        ((1,), {"x": 2}, "one of them twice"),
    ],
)
def test_what_does_not_fit_the_fields_is_refused(placed: tuple[Any, ...], named: dict[str, Any], wrong: str) -> None:
    make: Any = Point
    with pytest.raises(TypeError, match=wrong):
        make(*placed, **named)


def test_equal_fields_of_one_class_are_equal_and_hash_alike() -> None:
    one, other = Named(1, notes=(), name="a"), Named(name="a", notes=(), x=1)  # type: ignore[arg-type]
    assert (one, hash(one)) == (other, hash(other))
    assert one not in (Named(1), Point(1), replace(one, x=2))


def test_nothing_is_set_or_deleted_and_no_default_is_shared() -> None:
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert Point(1).notes is not point.notes


def test_only_what_may_be_shown_is_shown() -> None:
    assert repr(Named(1, notes={"key": "secret"}, name="a")) == "Named(x=1, y=2, name='a')"


def test_a_value_survives_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(Named(1, name="a"))) == Named(1, name="a")
