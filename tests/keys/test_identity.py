"""The identity file: found, private, whole, and never repeated in an error."""

from __future__ import annotations

import threading
from pathlib import Path

import pyrage
import pytest

from smtpctl.errors import SecretsError
from smtpctl.keys.identity import Identity, create_identity, identity_path, load_identity


def test_the_variable_names_the_file_and_an_empty_one_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", "~/mine.txt")
    assert identity_path() == tmp_path / "mine.txt"
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", "")
    assert identity_path() == tmp_path / ".config/smtpctl/identity.txt"


def test_a_new_identity_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new/identity.txt"
    made = create_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert load_identity(path).public_key == made.public_key
    assert [entry.name for entry in path.parent.iterdir()] == ["identity.txt"]


def test_an_identity_that_exists_is_never_replaced(tmp_path: Path) -> None:
    first = create_identity(tmp_path / "identity.txt")
    assert create_identity(tmp_path / "identity.txt").public_key == first.public_key


def test_of_many_creators_at_once_all_get_the_same_identity(tmp_path: Path) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(create_identity(tmp_path / "i.txt").public_key)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.txt"
    create_identity(path)
    path.chmod(mode)
    with pytest.raises(SecretsError, match=f"has mode {mode:04o}") as caught:
        load_identity(path)
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_several_keys_of_one_file_all_open(tmp_path: Path) -> None:
    keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
    path = tmp_path / "identity.txt"
    path.write_text(f"# created: 2026-11-21T12:00:00Z\n\n{keys[0]}\n# another\n{keys[1]}\n")
    path.chmod(0o600)
    loaded = load_identity(path)
    assert loaded.public_key == str(keys[0].to_public())
    sealed = pyrage.encrypt(b"value", [keys[1].to_public()])
    assert pyrage.decrypt(sealed, list(loaded.keys)) == b"value"


CANARY = "AGE-SECRET-KEY-1CANARYCANARY"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no age identity"),
        ("# only a comment\n", "holds no age identity"),
        (f"{CANARY}\n", "identity.txt:1: the age identity is damaged"),
        (f"# x\n-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n", "identity.txt:2: not an X25519 age identity"),
        (f"AGE-PLUGIN-YUBIKEY-{CANARY}\n", "identity.txt:1: not an X25519 age identity"),
    ],
)
def test_what_is_no_identity_is_refused_unrepeated(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "identity.txt"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretsError, match=complaint) as caught:
        load_identity(path)
    assert "CANARY" not in str(caught.value) + caught.value.hint


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="there is no identity at") as caught:
        load_identity(tmp_path / "nowhere.txt")
    assert "secrets init" in caught.value.hint


def test_an_identity_does_not_show_its_keys(tmp_path: Path) -> None:
    made = create_identity(tmp_path / "identity.txt")
    assert "SECRET" not in repr(made)
    assert isinstance(made, Identity)
