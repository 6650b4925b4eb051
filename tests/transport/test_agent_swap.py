"""Swapping files: from wherever a run stops, restoring brings back every byte, mode and link that was there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.transport.agent import StepError, facts, staging, swap
from smtpctl.transport.agent.store import Store

Fact = dict[str, Any]

#: What may stand at a path: nothing, a file with content and mode, or a link.
SOMETHING = st.one_of(
    st.none(),
    st.tuples(st.binary(max_size=20), st.sampled_from([0o600, 0o640, 0o644, 0o755])),
    st.sampled_from(["target", "../other"]),
)
NAMES = ("a.conf", "b.conf", "sub/c.conf", "sub/deep/d.conf")


class Place:
    """A folder that plays the host, and a store beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "host"
        self.root.mkdir()
        self.store = Store(root / "store")
        self.store.prepare()
        self.me = facts.file_fact(str(self.root))

    def path(self, name: str) -> str:
        return str(self.root / name)

    def put(self, name: str, what: Any) -> None:
        path = self.root / name
        if what is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, str):
            path.symlink_to(what)
        else:
            path.write_bytes(what[0])
            path.chmod(what[1])

    def wanted(self, what: Any) -> Fact:
        if what is None:
            return {"kind": "absent"}
        if isinstance(what, str):
            return {"kind": "link", "target": what}
        sha256 = self.store.put(what[0])
        return {"kind": "file", "sha256": sha256, "mode": what[1], "owner": self.me["owner"], "group": self.me["group"]}

    def everything(self) -> Mapping[str, Fact]:
        """Facts of every path below, hidden ones too."""
        return {
            path.relative_to(self.root).as_posix(): facts.file_fact(str(path))
            for path in sorted(self.root.rglob("*"))
            if path.is_symlink() or not path.is_dir()
        }

    def folders(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_dir())


@given(
    st.dictionaries(st.sampled_from(NAMES), SOMETHING),
    st.dictionaries(st.sampled_from(NAMES), SOMETHING, min_size=1),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
)
def test_a_run_that_stops_anywhere_is_led_back_whole(
    before: dict[str, Any], after: dict[str, Any], laid_out: int, switched: int, twice: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name, what in before.items():
            place.put(name, what)
        original, folders = place.everything(), place.folders()
        wanted = {place.path(name): place.wanted(what) for name, what in sorted(after.items())}
        journal = {path: facts.file_fact(path) for path in wanted}
        for path, fact in journal.items():
            if fact["kind"] == "file":
                place.store.put(Path(path).read_bytes())
        made = swap.missing_folders(path for path, fact in wanted.items() if fact["kind"] != "absent")

        paths = list(wanted)
        swap.lay_out(place.store, {path: wanted[path] for path in paths[:laid_out]})
        swap.switch({path: wanted[path] for path in paths[: min(laid_out, switched)]})
        swap.restore(place.store, journal, made)
        if twice:
            swap.restore(place.store, journal, made)

        assert place.everything() == original
        assert place.folders() == folders


@given(
    st.dictionaries(st.sampled_from(NAMES), SOMETHING),
    st.dictionaries(st.sampled_from(NAMES), SOMETHING),
    st.booleans(),
)
def test_a_run_that_is_not_stopped_leaves_what_was_wanted_and_nothing_else(
    before: dict[str, Any], after: dict[str, Any], staged: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name, what in before.items():
            place.put(name, what)
        wanted = {place.path(name): place.wanted(what) for name, what in after.items()}
        untouched = {name: fact for name, fact in place.everything().items() if name not in after}
        if staged:
            staging.build(place.store, wanted)
        swap.lay_out(place.store, wanted, staging.tree(place.store) if staged else None)
        swap.switch(wanted)
        swap.clean(wanted)
        present = {name: place.wanted(what) for name, what in after.items() if what is not None}
        assert place.everything() == {**untouched, **present}


def test_a_lost_link_to_the_old_file_is_made_good_from_the_object_store(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put("a.conf", (b"old", 0o640))
    path = place.path("a.conf")
    journal = {path: facts.file_fact(path)}
    place.store.put(b"old")
    wanted = {path: place.wanted((b"new", 0o600))}
    swap.lay_out(place.store, wanted)
    swap.switch(wanted)
    swap.clean(wanted)
    swap.restore(place.store, journal, [])
    assert Path(path).read_bytes() == b"old"
    assert facts.file_fact(path)["mode"] == 0o640


def test_leading_back_brings_the_same_inode(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put("a.conf", (b"old", 0o640))
    path = place.path("a.conf")
    inode = Path(path).stat().st_ino
    journal = {path: facts.file_fact(path)}
    wanted = {path: place.wanted((b"new", 0o600))}
    swap.lay_out(place.store, wanted)
    swap.switch(wanted)
    assert Path(path).stat().st_ino != inode
    swap.restore(place.store, journal, [])
    assert Path(path).stat().st_ino == inode


def test_what_was_validated_is_the_very_file_that_goes_live(tmp_path: Path) -> None:
    place = Place(tmp_path)
    path = place.path("a.conf")
    wanted = {path: place.wanted((b"new", 0o600))}
    staging.build(place.store, wanted)
    inode = staging.staged_path(place.store, path).stat().st_ino
    swap.lay_out(place.store, wanted, staging.tree(place.store))
    swap.switch(wanted)
    assert (Path(path).stat().st_ino, Path(path).stat().st_nlink) == (inode, 1)


def test_a_stage_on_another_file_system_is_no_hindrance(tmp_path: Path) -> None:
    place = Place(tmp_path)
    path = place.path("a.conf")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if Path(elsewhere).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one file system only")
        store = Store(Path(elsewhere))
        store.prepare()
        store.put(b"new")
        wanted = {path: place.wanted((b"new", 0o600))}
        staging.build(store, wanted)
        swap.lay_out(store, wanted, staging.tree(store))
        swap.switch(wanted)
        assert staging.staged_path(store, path).read_bytes() == b"new"
    assert Path(path).read_bytes() == b"new"
    assert facts.file_fact(path) == wanted[path]


def test_new_files_are_a_minute_old(tmp_path: Path) -> None:
    place = Place(tmp_path)
    wanted = {place.path("a"): place.wanted((b"x", 0o600))}
    swap.lay_out(place.store, wanted)
    swap.switch(wanted)
    age = tmp_path.stat().st_mtime - Path(place.path("a")).stat().st_mtime
    assert age > swap.AGE - 5


def test_an_owner_that_does_not_exist_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path)
    fact = {**place.wanted((b"x", 0o600)), "owner": "nobody-of-that-name"}
    with pytest.raises(StepError, match="there is no user 'nobody-of-that-name'"):
        swap.lay_out(place.store, {place.path("a"): fact})
