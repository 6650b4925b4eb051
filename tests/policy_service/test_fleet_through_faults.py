"""A sample of the torture of a fleet: one seed, fewer processes and clients, every fault once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.policy_fleet import available, hold

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter."""
    if reason := available():
        pytest.skip(reason)
    path = Path(tempfile.mkdtemp(prefix="smtpctl-faults-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_no_limit_is_passed_while_everything_fails_once(folder: Path) -> None:
    found = hold(int(os.environ.get("SMTPCTL_SEED", "4")), folder, processes=3, clients=30, seconds=20)
    assert all(total > 0 for _, total in found.values()), found
