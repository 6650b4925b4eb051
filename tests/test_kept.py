"""What is kept from run to run comes back only for the same text, and is made anew where it cannot be kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from smtpctl.cli import cli
from smtpctl.cli.fleet import select
from smtpctl.cli.loading import load_fleet
from smtpctl.inventory import InventoryProblems
from smtpctl.kept import kept, sealed
from smtpctl.model.secrets import Secrets


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


def test_what_holds_secrets_is_made_anew_when_anything_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(value: str, *, source: bytes = b"fleet", secret: bytes = b"s3cret") -> str:
        return sealed(tmp_path, "desired", source, secret, lambda: value)

    assert made("first") == made("second") == "first"
    assert made("other fleet", source=b"fleets") == "other fleet"
    assert made("other secret", source=b"fleets", secret=b"secret") == "other secret"
    assert made("not read", source=b"fleets", secret=b"secret") == "other secret"
    monkeypatch.setattr("smtpctl.kept._everything", lambda: b"other code")
    assert made("other code", source=b"fleets", secret=b"secret") == "other code"


def test_what_holds_secrets_is_kept_unreadable_and_damage_costs_time_only(tmp_path: Path) -> None:
    sealed(tmp_path, "desired", b"fleet", b"s3cret", lambda: "a password")
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    assert b"password" not in content
    assert file.stat().st_mode & 0o777 == 0o600
    for damaged in (b"", content[:8], content[:-1], content[:-1] + bytes((content[-1] ^ 1,))):
        file.write_bytes(damaged)
        assert sealed(tmp_path, "desired", b"fleet", b"s3cret", lambda: "made anew") == "made anew"


def test_every_file_that_is_rendered_from_counts(tmp_path: Path) -> None:
    """A change of any template, or of a module that is rendered into a program, is a change of what is kept."""
    root = Path(__file__).parents[1]
    code = "from smtpctl import kept; print(kept._everything().hex())"
    for folder in ("smtpctl", "policy_service", "templates"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))

    def everything() -> str:
        command = [sys.executable, "-B", "-c", code]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    seen = [everything(), everything()]
    assert seen[0] == seen[1]
    for name in ("templates/base/etc/nftables.conf.j2", "templates/base/role.yml", "policy_service/server.py"):
        path = tmp_path / name
        status = path.stat()
        path.write_bytes(path.read_bytes().replace(b"e", b"E", 1))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        seen.append(everything())
    (tmp_path / "templates/base/etc/new.j2").write_text("more")
    seen.append(everything())
    assert len(set(seen)) == len(seen) - 1


def test_a_fleet_is_rendered_once_and_again_when_it_or_a_secret_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "identity"))
    inventory = tmp_path / "fleet.yml"
    text = (Path(__file__).parents[1] / "inventory/single.yml").read_text()
    inventory.write_text(text)
    runner = CliRunner()
    assert runner.invoke(cli, ["secrets", "init", str(inventory)]).exit_code == 0
    first = select(inventory).render()
    assert select(inventory).render() == first
    assert canaries_in(tmp_path / "smtpctl", select(inventory).secrets) == []
    inventory.write_text(text.replace("fleet: single", "fleet: renamed"))
    renamed = select(inventory).render()
    assert renamed != first
    name = f"credentials/{next(iter(select(inventory).fleet.credentials))}/password"
    changed = runner.invoke(cli, ["secrets", "set", str(inventory), name], input="another-password-of-some-length\n")
    assert changed.exit_code == 0, changed.exception
    assert select(inventory).render() != renamed


def canaries_in(folder: Path, secrets: Secrets) -> list[str]:
    """Names of secrets that some file below ``folder`` holds in clear."""
    contents = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert len(contents) > 1
    return [
        name
        for name, value in secrets.items()
        if not Secrets.is_public(name) and any(value.strip().encode() in content for content in contents)
    ]


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
