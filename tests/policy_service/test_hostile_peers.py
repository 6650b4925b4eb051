"""A sample of the torture of the wire: garbage, floods and stalled peers, of one seed and a small size."""

from __future__ import annotations

import random
from pathlib import Path

from tests.torture.policy_wire import fuzz, hostile


def test_the_parser_takes_any_bytes_and_holds_no_more_than_its_bound() -> None:
    fuzz(random.Random(4), 300_000)


def test_bad_peers_harm_only_themselves(tmp_path: Path) -> None:
    hostile(tmp_path, random.Random(5), connections=300, megabytes=4)
