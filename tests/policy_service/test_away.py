"""A sample of the torture without a database: seconds of it instead of ten minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.torture.policy_away import SCHEMA, away

if TYPE_CHECKING:
    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres


def test_without_the_database_nobody_within_the_reserve_is_refused_and_no_reply_is_late(
    postgres: Cluster, new_database: Callable[[], str], tmp_path: Path
) -> None:
    database = new_database()
    postgres.apply(database, SCHEMA)
    found = away(postgres, database, tmp_path, 8, bound="1.0")
    assert all(found.values()), found
