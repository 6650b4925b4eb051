"""A fleet, an identity and an inventory path of its own for every test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys import init_secrets, read_secrets
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets

LAB = Path(__file__).parents[2] / "inventory/lab.yml"


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return load_fleet(LAB)


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's identity will be; nothing is there yet."""
    path = tmp_path / "home/identity.txt"
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(path))
    return path


@pytest.fixture
def inventory(tmp_path: Path, identity: Path) -> Path:
    """The path of an inventory in an empty folder."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    return folder / "lab.yml"


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def lab_secrets(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet, now: datetime) -> Secrets:
    """Every secret of the lab's fleet, made once."""
    folder = tmp_path_factory.mktemp("secrets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMTPCTL_AGE_IDENTITY", str(folder / "identity.txt"))
        init_secrets(folder / "lab.yml", fleet, now=now)
        return read_secrets(folder / "lab.yml")
