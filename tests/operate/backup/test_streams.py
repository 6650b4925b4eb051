"""Parts of a backup: encrypted, whole, checked; and a manifest that older and newer releases understand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from smtpctl.errors import SmtpctlError
from smtpctl.keys.identity import Identity, create_identity, load_identity
from smtpctl.operate.backup import streams
from smtpctl.operate.backup.manifest import Manifest


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    create_identity(tmp_path / "identity")
    return load_identity(tmp_path / "identity")


def test_a_part_is_not_readable_without_the_identity_and_comes_back_with_it(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "part.age"
    part = streams.keep(io.BytesIO(b"someone@example.com" * 1000), path, [identity.public_key])
    assert b"someone" not in path.read_bytes()
    assert streams.read(path, identity) == b"someone@example.com" * 1000
    assert (part.name, part.bytes) == ("part.age", path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o600
    streams.check(path, part)


def test_another_identity_opens_nothing(tmp_path: Path, identity: Identity) -> None:
    create_identity(tmp_path / "other")
    streams.keep(io.BytesIO(b"text"), tmp_path / "part.age", [identity.public_key])
    with pytest.raises(SmtpctlError, match="cannot be opened"):
        streams.read(tmp_path / "part.age", load_identity(tmp_path / "other"))


def test_a_damaged_part_is_found_before_anything_is_restored(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "part.age"
    part = streams.keep(io.BytesIO(b"text"), path, [identity.public_key])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SmtpctlError, match="damaged"):
        streams.check(path, part)


def test_without_recipients_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(SmtpctlError, match="no recipient"):
        streams.keep(io.BytesIO(b"text"), tmp_path / "part.age", [])
    assert list(tmp_path.iterdir()) == []


class _Breaking(io.RawIOBase):
    """A stream that breaks off in the middle."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError("the connection is gone")


def test_a_stream_that_breaks_leaves_no_part(tmp_path: Path, identity: Identity) -> None:
    with pytest.raises(OSError, match="gone"):
        streams.keep(_Breaking(), tmp_path / "part.age", [identity.public_key])
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


MANIFEST = Manifest("shop", "0.1.0", "2026-11-22T04:15:00+00:00", [], {"edge1": "53112f7e"}, {"rows": {}}, 3)


def test_a_manifest_comes_back() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no manifest"),
        ("[]", "no manifest"),
        ("{}", "no manifest"),
        (json.dumps({**json.loads(MANIFEST.to_json()), "form": 2}), "upgrade|form 2"),
        (json.dumps({**json.loads(MANIFEST.to_json()), "unknown": 2}), "no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, words: str) -> None:
    with pytest.raises(SmtpctlError, match=words):
        Manifest.from_json(text)
