"""The name server that routing learns from, and a database of quotas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import policy_service
from tests.conftest import Cluster
from tests.name_server import name_server

__all__ = ["name_server"]

SCHEMA = Path(policy_service.__file__).parent / "sql" / "schema.sql"


@pytest.fixture
def database(postgres: Cluster, new_database: Callable[[], str]) -> str:
    """The name of a database that has the schema and no rows."""
    name = new_database()
    postgres.apply(name, SCHEMA)
    return name


@pytest.fixture
def conninfo(postgres: Cluster, database: str) -> str:
    """The way there."""
    return postgres.conninfo(database)
