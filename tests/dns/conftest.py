"""A fleet with its keys, and a name server of this test run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys.initialise import complete
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets
from tests.name_server import name_server

LAB = Path(__file__).parents[2] / "inventory/lab.yml"

__all__ = ["name_server"]


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return load_fleet(LAB)


@pytest.fixture(scope="session")
def secrets(fleet: Fleet) -> Secrets:
    return Secrets(complete({}, fleet, datetime(2026, 11, 21, tzinfo=UTC)))
