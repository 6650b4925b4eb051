"""What an agent leaves that ended at an awkward moment, and who clears it away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smtpctl.transport.agent import facts, recovery, swap
from smtpctl.transport.agent.store import Store


def live(store: Store, place: Path) -> tuple[dict[str, Any], Path]:
    """The journal of an apply that has just swapped a file of ``place``, and that file."""
    store.prepare()
    path = place / "a.conf"
    path.write_text("old\n")
    (place / "left").mkdir()
    store.stage.mkdir()
    before = facts.file_fact(str(path))
    wanted = {str(path): {**before, "sha256": store.put(b"new\n")}}
    journal = {
        "number": 1,
        "revision": "aaaaaaaaaaaaaaaa",
        "before": {str(path): before},
        "files": {str(path): wanted[str(path)]},
        "left": [str(place / "left")],
    }
    store.begin(journal)
    swap.lay_out(store, wanted)
    swap.switch(wanted)
    return journal, path


def test_a_commit_that_was_cut_short_is_finished_by_boot_or_timer(tmp_path: Path) -> None:
    place = tmp_path / "host"
    place.mkdir()
    store = Store(tmp_path / "store")
    journal, path = live(store, place)
    assert [file.name for file in place.glob(".a.conf*")] == [".a.conf.smtpctl-old"]
    store.commit(journal)
    recovery.run(store, "the host was restarted")
    assert path.read_text() == "new\n"
    assert [file.name for file in place.iterdir()] == ["a.conf"]
    assert not store.stage.exists()
    assert store.current() == journal


def test_boot_looks_for_all_that_an_agent_leaves(tmp_path: Path) -> None:
    """One trigger a trace (``|``: any of them is enough, systemd.unit(5)), and each is a path of the store."""
    conditions = [
        line.removeprefix("ConditionPathExists=")
        for line in recovery.UNIT_TEXT.splitlines()
        if line.startswith("ConditionPathExists=")
    ]
    store = Store()
    assert conditions == [f"|{store.journal_file}", f"|{store.stage}"]
