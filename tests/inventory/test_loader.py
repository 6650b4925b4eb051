"""YAML to values with places: the YAML 1.2 that people expect, the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpctl.inventory import nodes
from smtpctl.inventory.document import read_document, scalar_value
from smtpctl.inventory.nodes import Place

SCALARS: tuple[tuple[str, Any], ...] = (
    ("true", True),
    ("false", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("0", 0),
    ("-7", -7),
    ("10025", 10025),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    # What YAML 1.1 would have made something else of.
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("Off", "Off"),
    ("True", "True"),
    ("NULL", "NULL"),
    ("12:30", "12:30"),
    ("190:20:30", "190:20:30"),
    ("010", "010"),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("1_000", "1_000"),
    ("+5", "+5"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("2026-01-31", "2026-01-31"),
    ("192.0.2.11", "192.0.2.11"),
    ("2001:db8::1", "2001:db8::1"),
    ("=", "="),
    # More digits than Python turns into a number.
    ("9" * 5000, "9" * 5000),
)


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text[:20] or "empty" for text, _ in SCALARS])
def test_a_plain_scalar_means(text: str, value: Any) -> None:
    found = scalar_value(text)
    assert found == value
    assert type(found) is type(value)


def test_what_stands_in_quotes_is_text() -> None:
    document, troubles = read_document("a: 'true'\nb: \"5\"\nc: |\n  7\n")
    assert troubles == []
    assert document is not None
    assert document.data == {"a": "true", "b": "5", "c": "7\n"}
    assert document.quoted == {("a",), ("b",), ("c",)}


def test_every_part_has_its_place() -> None:
    document, _ = read_document("a:\n  b: [x, {c: y}]\n  d:\n")
    assert document is not None
    assert document.values[("a", "b", 1, "c")] == Place(2, 14)
    assert document.keys[("a", "b", 1, "c")] == Place(2, 11)
    assert document.place_of(("a", "b", 1, "c"), at_key=True) == Place(2, 11)
    assert document.place_of(("a", "missing")) == Place(1, 1)
    assert document.place_of(("a", "b", 0), at_key=True) == Place(2, 7)
    assert document.place_of(("elsewhere",)) == Place(1, 1)


def test_columns_count_characters_not_bytes() -> None:
    document, _ = read_document("{ä: ö, ü: ß}\n")
    assert document is not None
    assert document.values[("ü",)] == Place(1, 11)


@pytest.mark.parametrize("name", ("reference", "single", "lab", "vagrant"))
def test_both_parsers_give_the_same_values_and_places(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (repository / "inventory" / f"{name}.yml").read_text()
    assert yaml.__with_libyaml__, "this test compares libyaml with the parser in Python"
    fast, _ = read_document(text)
    monkeypatch.setattr(nodes, "_Loader", yaml.SafeLoader)
    slow, _ = read_document(text)
    assert fast is not None
    assert slow is not None
    assert (fast.data, fast.values, fast.keys, fast.quoted) == (slow.data, slow.values, slow.keys, slow.quoted)


@pytest.mark.parametrize("name", sorted(path.name for path in (Path(__file__).parent / "bad").glob("yaml-*")))
def test_both_parsers_give_the_same_troubles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent / "bad" / name / "inventory.yml").read_text()
    _, fast = read_document(text)
    monkeypatch.setattr(nodes, "_Loader", yaml.SafeLoader)
    _, slow = read_document(text)
    assert fast == slow


def test_a_tag_never_makes_an_object(tmp_path: Path) -> None:
    target = tmp_path / "made"
    _, troubles = read_document(f"a: !!python/object/apply:pathlib.Path.touch [{target}]\n")
    assert [trouble.place for trouble in troubles] == [Place(1, 4)]
    assert not target.exists()


def test_the_first_of_two_equal_keys_counts_and_the_second_is_named() -> None:
    document, troubles = read_document("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert document is not None
    assert document.data == {"a": 1, "b": {"c": 1}}
    assert [(trouble.place.line, trouble.place.column) for trouble in troubles] == [(2, 11), (3, 1)]


def test_aliases_that_unfold_without_end_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    document, troubles = read_document("\n".join(lines))
    assert document is None
    assert "unfold to more than" in troubles[0].message


def test_brackets_without_end_do_not_exhaust_the_stack() -> None:
    document, troubles = read_document("[" * 100_000)
    assert document is None
    assert "deep" in troubles[0].message
