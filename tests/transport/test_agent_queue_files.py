"""Queue files by their names: which are due now, and where Postfix has put them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smtpctl.transport.agent.queue_files import hash_of, make_due, names

#: Queue ids that Postfix 3.10 and 3.7 gave to files which it had hashed into these folders.
LONG, SHORT = "4jXRZx2dSxz2KM82", "59F2A1B0C9D"


@pytest.mark.parametrize(("queue_id", "folder"), [(LONG, "5"), (SHORT, "5"), ("4jXQDH02H4z4FRp", "0")])
def test_a_file_is_looked_for_where_postfix_has_put_it(queue_id: str, folder: str) -> None:
    assert hash_of(queue_id)[:1] == folder


@pytest.mark.parametrize("place", ["deferred/5", "deferred/5/{second}", "deferred", "active", "incoming"])
def test_a_deferred_message_is_due_however_deep_its_queue_is_hashed(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place.format(second=hash_of(LONG)[1])
    folder.mkdir(parents=True)
    (folder / LONG).touch()
    later = (folder / LONG).stat().st_mtime + 3600
    for name in (LONG, "4jXRZx2dSxz2KM83"):
        (folder / name).touch()
        os.utime(folder / name, (later, later))
    assert make_due(str(tmp_path), [LONG, "4jXRZx2dSxz2KM84"]) == 1
    assert (folder / LONG).stat().st_mtime < later
    assert (folder / "4jXRZx2dSxz2KM83").stat().st_mtime == later
    assert set(names(tmp_path)) == {LONG, "4jXRZx2dSxz2KM83"}


def test_what_is_on_hold_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold" / LONG).touch()
    assert make_due(str(tmp_path), [LONG]) == 0
