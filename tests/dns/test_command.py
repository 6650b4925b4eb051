"""``smtpctl dns``: records as lines and as JSON, and the check's verdicts and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import dns.zone
import pytest

from smtpctl.cli import main

LAB = Path(__file__).parents[2] / "inventory/lab.yml"


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the lab's inventory, reached without the lab, in the working directory; no secrets."""
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "identity.txt"))
    monkeypatch.chdir(tmp_path)
    text = LAB.read_text().replace("ssh: {user: root, via: lab}", "ssh: {user: root}")
    (tmp_path / "inventory.yml").write_text(text)
    return tmp_path / "inventory.yml"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["smtpctl", *arguments])
    try:
        main()
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
    return 0


def test_records_are_a_zone_and_placeholders_are_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "dns", "records") == 0
    out, err = capsys.readouterr()
    assert dns.zone.from_text(out, origin=".", relativize=False, check_origin=False)
    assert "PLACEHOLDER(dkim/shop.test/r1/public)" in out
    assert "do not publish these records" in err


def test_with_secrets_the_keys_stand_in_the_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "secrets", "init") == 0
    assert run(monkeypatch, "secrets", "show", "dkim/shop.test/e1/public") == 0
    public = capsys.readouterr().out.splitlines()[-1]
    assert run(monkeypatch, "dns", "records", "--domain", "shop.test", "--json") == 0
    out, err = capsys.readouterr()
    records = json.loads(out)["records"]
    assert {
        "name": "e1._domainkey.shop.test.",
        "ttl": 3600,
        "type": "TXT",
        "value": f'"v=DKIM1; k=ed25519; p={public}"',
    } in records
    assert all(record["name"].endswith("shop.test.") for record in records)
    assert err == ""


def test_a_domain_without_records_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "dns", "records", "--domain", "other.test") == 2
    assert "no record at or below 'other.test'" in capsys.readouterr().err


def test_check_needs_the_keys_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "dns", "check", "--server", "127.0.0.1") == 1
    assert "HINT: set SMTPCTL_AGE_IDENTITY to your identity file" in capsys.readouterr().err


def test_check_tells_a_whole_zone_from_one_with_a_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name_server: Callable[[str], int]
) -> None:
    assert run(monkeypatch, "secrets", "init") == 0
    capsys.readouterr()
    assert run(monkeypatch, "dns", "records") == 0
    zone = capsys.readouterr().out
    server = ("--server", "127.0.0.1", "--port")
    whole = str(name_server(zone))
    assert run(monkeypatch, "dns", "check", *server, whole) == 0
    assert capsys.readouterr().out == ""
    gap = str(name_server("".join(line for line in zone.splitlines(True) if "_dmarc.news.test. " not in line)))
    assert run(monkeypatch, "dns", "check", *server, gap) == 1
    out, err = capsys.readouterr()
    assert out.startswith("missing: _dmarc.news.test. TXT ")
    assert "error: 1 of " in err
    assert run(monkeypatch, "dns", "check", *server, gap, "--domain", "shop.test") == 0
    assert run(monkeypatch, "dns", "check", *server, gap, "--json") == 1
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["name"], finding["problem"]) == ("_dmarc.news.test.", "missing")
