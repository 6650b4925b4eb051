"""Rendered trees of reference.yml and single.yml stand in ``golden/``; refresh them with ``--refresh-golden``.

Zipapps are left out: they are the sources themselves.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet

REPOSITORY = Path(__file__).resolve().parent.parent.parent
GOLDEN = Path(__file__).parent / "golden"
COPIED = ("/usr/local/share/smtpctl/ledger.sql", "/usr/local/share/smtpctl/quota.sql")


def rendered_tree(fleet_name: str, secrets: Secrets) -> dict[str, str]:
    fleet = load_fleet(REPOSITORY / "inventory" / f"{fleet_name}.yml")
    return {
        f"{name}{path}": file.content.decode()
        for name, host in render_fleet(fleet, secrets).items()
        for path, file in host.files.items()
        if not path.endswith(".pyz") and path not in COPIED
    }


@pytest.mark.parametrize("fleet_name", ["reference", "single"])
def test_the_rendered_tree_is_the_golden_one(
    fleet_name: str, no_secrets: Secrets, request: pytest.FixtureRequest
) -> None:
    folder = GOLDEN / fleet_name
    tree = rendered_tree(fleet_name, no_secrets)
    if request.config.getoption("--refresh-golden"):
        write_tree(folder, tree)
    golden = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert sorted(tree) == sorted(golden)
    differences = [
        line
        for path in sorted(tree)
        for line in difflib.unified_diff(
            golden[path].splitlines(), tree[path].splitlines(), f"golden/{path}", f"rendered/{path}", lineterm=""
        )
    ]
    assert not differences, "\n".join(differences)


def write_tree(folder: Path, tree: dict[str, str]) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for path_text, content in tree.items():
        target = folder / path_text
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
