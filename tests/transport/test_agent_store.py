"""What a host keeps: one rename commits, what nothing names is dropped, nobody else can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpctl.transport.agent import StepError, lock
from smtpctl.transport.agent.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "smtpctl")
    store.prepare()
    return store


def journal(store: Store, revision: str, content: bytes, begun: float = 1.0) -> dict[str, Any]:
    sha256 = store.put(content)
    return {
        "number": store.next_number(),
        "revision": revision,
        "begun": begun,
        "before": {},
        "files": {"/etc/a": {"sha256": sha256, "mode": 0o644, "owner": "root", "group": "root", "secret": False}},
    }


def commit(store: Store, revision: str, content: bytes, begun: float = 1.0) -> dict[str, Any]:
    intent = journal(store, revision, content, begun)
    store.begin(intent)
    store.commit(intent)
    return intent


def test_a_commit_is_the_current_revision_and_leaves_no_journal(store: Store) -> None:
    assert store.current() is None
    first = commit(store, "aaaaaaaaaaaaaaaa", b"1")
    second = commit(store, "bbbbbbbbbbbbbbbb", b"2")
    assert store.current() == second
    assert store.journal() is None
    assert (first["number"], second["number"]) == (1, 2)


def test_what_was_undone_is_history_and_not_a_revision(store: Store) -> None:
    commit(store, "aaaaaaaaaaaaaaaa", b"1", 1.0)
    intent = journal(store, "bbbbbbbbbbbbbbbb", b"2", 2.0)
    store.begin(intent)
    assert store.journal() == intent
    store.abandon(intent, {"undone": 3.0, "reason": "probe", "problems": ""})
    commit(store, "cccccccccccccccc", b"3", 4.0)
    assert [entry["number"] for entry in store.history()] == [1, 2, 3]
    assert [entry.get("reason", "") for entry in store.history()] == ["", "probe", ""]
    current = store.current()
    assert current is not None
    assert current["revision"] == "cccccccccccccccc"


def test_pruning_keeps_the_contents_of_kept_revisions_and_drops_the_others(store: Store) -> None:
    for number in range(5):
        commit(store, f"{number}" * 16, f"{number}".encode())
    store.prune(2)
    assert [path.name for path in store.revision_files()] == [f"000004-{'3' * 16}.json", f"000005-{'4' * 16}.json"]
    assert sorted(store.get(path.name) for path in store.objects.iterdir()) == [b"3", b"4"]
    assert store.next_number() == 6


def test_revisions_are_found_by_number_by_name_and_as_the_one_before(store: Store) -> None:
    commit(store, "aaaaaaaaaaaaaaaa", b"1")
    commit(store, "abababababababab", b"2")
    third = commit(store, "aaaaaaaaaaaaaaaa", b"3")
    assert store.find("")["number"] == 2
    assert store.find("1")["number"] == 1
    assert store.find("aaaa") == third
    for unknown in ("9", "aaa", "ffff"):
        with pytest.raises(StepError, match=f"no revision {unknown} is kept on this host; kept are: 1-aaaa"):
            store.find(unknown)


def test_nobody_else_can_read_anything(store: Store) -> None:
    commit(store, "aaaaaaaaaaaaaaaa", b"secret")
    for path in [store.base, *store.base.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    store.objects.chmod(0o700)
    (store.base / "journal.json").mkdir()
    with pytest.raises(OSError):
        store.begin(journal(store, "aaaaaaaaaaaaaaaa", b"1"))
    assert list(store.base.glob(".*")) == []


def test_readers_share_the_lock_and_a_writer_has_it_alone(store: Store) -> None:
    first, second = lock.shared(store.base), lock.shared(store.base)
    assert first
    assert second
    with pytest.raises(lock.LockedError):
        lock.exclusive(store.base)
    first.release()
    second.release()
    writer = lock.exclusive(store.base)
    with pytest.raises(lock.LockedError):
        lock.shared(store.base)
    writer.release()


def test_a_host_that_was_never_changed_needs_no_lock_to_be_read(tmp_path: Path) -> None:
    assert lock.shared(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()
