"""What is kept from run to run comes back only for the same text, and is made anew where it cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.cli.loading import load_fleet
from smtpctl.inventory import InventoryProblems
from smtpctl.kept import kept


def test_a_value_is_made_once_for_a_text(tmp_path: Path) -> None:
    assert kept(tmp_path, "fleet", b"text", lambda: {"answer": 1}) == {"answer": 1}
    assert kept(tmp_path, "fleet", b"text", lambda: {"answer": 2}) == {"answer": 1}
    assert kept(tmp_path, "fleet", b"another", lambda: {"answer": 3}) == {"answer": 3}
    assert kept(tmp_path, "fleet", b"text", lambda: {"answer": 4}) == {"answer": 4}, "one text a name"


def test_only_the_user_can_read_what_is_kept(tmp_path: Path) -> None:
    kept(tmp_path, "fleet", b"text", lambda: "value")
    assert [(file.name, file.stat().st_mode & 0o777) for file in tmp_path.iterdir()] == [("fleet", 0o600)]


def test_without_a_folder_a_value_is_made_each_time(tmp_path: Path) -> None:
    assert kept(None, "fleet", b"text", lambda: 1) == 1
    assert kept(tmp_path / "missing", "fleet", b"text", lambda: 2) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_inventory_is_validated_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inventory = tmp_path / "fleet.yml"
    text = (Path(__file__).parents[1] / "inventory/reference.yml").read_text()
    inventory.write_text(text)
    first = load_fleet(inventory)
    assert load_fleet(inventory) == first
    inventory.write_text(text.replace("fleet: reference", "fleet: renamed"))
    assert load_fleet(inventory).fleet == "renamed"
    inventory.write_text(text.replace("fleet: reference", "flet: reference"))
    for _ in range(2):
        with pytest.raises(InventoryProblems, match="flet"):
            load_fleet(inventory)
