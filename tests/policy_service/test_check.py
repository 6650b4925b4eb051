"""``check`` takes what the service would take, and names what it would not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy_service.__main__ import main
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet

INVENTORY = Path(__file__).resolve().parent.parent.parent / "inventory" / "reference.yml"


@pytest.fixture(scope="module")
def rendered() -> dict[str, bytes]:
    hosts = render_fleet(load_fleet(INVENTORY), Secrets({}, placeholders=True), hosts=["edge1", "relay1"])
    return {
        "--rules": hosts["edge1"].files["/etc/smtpctl/policy.json"].content,
        "--routing": hosts["relay1"].files["/etc/smtpctl/routing.json"].content,
    }


@pytest.mark.parametrize("option", ["--rules", "--routing"])
def test_what_is_rendered_is_right(rendered: dict[str, bytes], option: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(rendered[option])
    assert main(["check", option, str(file)]) == 0


@pytest.mark.parametrize("option", ["--rules", "--routing"])
def test_what_the_service_would_not_take_is_named(
    rendered: dict[str, bytes], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.json"
    for content, words in (
        (rendered[option][:40], "not JSON"),
        (json.dumps({**json.loads(rendered[option]), "version": 77}).encode(), "version"),
    ):
        file.write_bytes(content)
        assert main(["check", option, str(file)]) == 1
        said = capsys.readouterr().err
        assert str(file) in said
        assert words in said
