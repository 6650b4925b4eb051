"""Fixtures of the render tests: fleets of the inventories in the repository, and golden trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session", params=["reference", "single", "lab", "vagrant"])
def any_fleet(request: pytest.FixtureRequest) -> Fleet:
    return load_fleet(REPOSITORY / "inventory" / f"{request.param}.yml")


@pytest.fixture(scope="session")
def reference() -> Fleet:
    return load_fleet(REPOSITORY / "inventory" / "reference.yml")


@pytest.fixture(scope="session")
def no_secrets() -> Secrets:
    return Secrets({}, placeholders=True)
