"""The secrets file: whole, private, for the right people, and never losing a value to another writer."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyrage
import pytest

from smtpctl.errors import SecretsError
from smtpctl.keys import read_secrets
from smtpctl.keys.agefile import seal
from smtpctl.keys.identity import Identity, create_identity, load_identity
from smtpctl.keys.recipients import recipients_path
from smtpctl.keys.store import changing, read_values, secrets_path

CANARY = "smtpctl_CANARYcanaryCANARYcanary0123"


@pytest.fixture
def owner(identity: Path) -> Identity:
    return create_identity(identity)


def put(inventory: Path, owner: Identity, **values: str) -> None:
    with changing(inventory, owner, create=True) as stored:
        stored.update(values)


def test_files_stand_beside_the_inventory() -> None:
    assert secrets_path(Path("inventory/lab.yml")) == Path("inventory/lab.secrets.age")
    assert recipients_path(Path("inventory/lab.yml")) == Path("inventory/lab.recipients")


def test_what_is_written_reads_back(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, first="grün", second="two\nlines")
    assert dict(read_secrets(inventory)) == {"first": "grün", "second": "two\nlines"}


def test_the_file_is_private_and_holds_no_plain_text(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, password=CANARY)
    assert secrets_path(inventory).stat().st_mode & 0o777 == 0o600
    for path in inventory.parent.iterdir():
        assert CANARY.encode() not in path.read_bytes()
        assert b"SECRET-KEY" not in path.read_bytes()


def test_standard_age_tools_can_open_it(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, password=CANARY)
    plain = pyrage.decrypt(secrets_path(inventory).read_bytes(), list(owner.keys))
    assert json.loads(plain) == {"password": CANARY}


def test_an_unchanged_content_is_not_written_again(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, name="value")
    before = secrets_path(inventory).read_bytes()
    put(inventory, owner, name="value")
    assert secrets_path(inventory).read_bytes() == before


def test_an_exception_leaves_the_file_as_it_was(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, name="value")
    before = sorted((path.name, path.read_bytes()) for path in inventory.parent.iterdir())
    with pytest.raises(ZeroDivisionError), changing(inventory, owner) as values:
        values["name"] = "other"
        raise ZeroDivisionError
    assert sorted((path.name, path.read_bytes()) for path in inventory.parent.iterdir()) == before


def test_writers_at_once_lose_nothing(inventory: Path, owner: Identity) -> None:
    put(inventory, owner)
    threads = [threading.Thread(target=put, args=(inventory, owner), kwargs={f"name{n}": str(n)}) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(read_secrets(inventory)) == {f"name{n}": str(n) for n in range(12)}


def test_everyone_on_the_list_can_read(inventory: Path, owner: Identity, tmp_path: Path) -> None:
    colleague = create_identity(tmp_path / "colleague.txt")
    recipients_path(inventory).write_text(f"# the team\n{colleague.public_key}\n")
    put(inventory, owner, name="value")
    assert read_values(inventory, colleague) == {"name": "value"}


def test_a_writer_is_put_on_the_list_so_that_the_next_one_keeps_them(
    inventory: Path, owner: Identity, tmp_path: Path
) -> None:
    colleague = create_identity(tmp_path / "colleague.txt")
    recipients_path(inventory).write_text(f"# the team\n{colleague.public_key}")
    put(inventory, owner, name="value")
    assert recipients_path(inventory).read_text() == f"# the team\n{colleague.public_key}\n{owner.public_key}\n"
    with changing(inventory, colleague) as values:
        values["name"] = "changed by the colleague"
    assert read_values(inventory, owner) == {"name": "changed by the colleague"}


def test_an_ssh_key_can_be_a_recipient(inventory: Path, owner: Identity) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN someone@example.com"
    recipients_path(inventory).write_text(key + "\n")
    put(inventory, owner, name="value")
    assert b"-> ssh-ed25519 " in secrets_path(inventory).read_bytes()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("age1nonsense", r"lab\.recipients:2: 'age1nonsense' is not a public key"),
        ("ssh-dss AAAA", r"lab\.recipients:2: 'ssh-dss AAAA' is not a public key"),
        ("alice", r"lab\.recipients:2: 'alice' is not a public key"),
    ],
)
def test_a_line_that_is_no_key_is_named(inventory: Path, owner: Identity, line: str, complaint: str) -> None:
    recipients_path(inventory).write_text(f"# x\n{line}\n")
    with pytest.raises(SecretsError, match=complaint):
        put(inventory, owner, name="value")
    assert not secrets_path(inventory).exists()


def test_a_private_identity_on_the_list_is_refused_unrepeated(inventory: Path, owner: Identity) -> None:
    recipients_path(inventory).write_text("AGE-SECRET-KEY-1CANARY\n")
    with pytest.raises(SecretsError, match="private identity, not a public key") as caught:
        put(inventory, owner, name="value")
    assert "CANARY" not in str(caught.value) + caught.value.hint


def test_a_wrong_identity_is_told_how_to_become_a_recipient(
    inventory: Path, owner: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inventory, owner, name="value")
    stranger = create_identity(tmp_path / "stranger.txt")
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "stranger.txt"))
    with pytest.raises(SecretsError, match="not encrypted for the identity") as caught:
        read_secrets(inventory)
    assert f"--add {stranger.public_key}" in caught.value.hint


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "something else"])
def test_a_damaged_file_is_called_damaged_and_stays(inventory: Path, owner: Identity, damage: str) -> None:
    put(inventory, owner, name="value")
    content = secrets_path(inventory).read_bytes()
    damaged = {
        "cut": content[:-5],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "emptied": b"",
        "something else": b"just text\n",
    }[damage]
    secrets_path(inventory).write_bytes(damaged)
    with pytest.raises(SecretsError, match="is damaged"):
        read_secrets(inventory)
    with pytest.raises(SecretsError, match="is damaged"):
        put(inventory, owner, other="value")
    assert secrets_path(inventory).read_bytes() == damaged


@pytest.mark.parametrize("plain", [f"{CANARY}", f'["{CANARY}"]', f'{{"a": {{"b": "{CANARY}"}}}}', f'{{"a": "{CANARY}'])
def test_other_content_is_refused_unrepeated(inventory: Path, owner: Identity, plain: str) -> None:
    sealed = pyrage.encrypt(plain.encode(), [key.to_public() for key in owner.keys])
    secrets_path(inventory).write_bytes(sealed)
    with pytest.raises(SecretsError, match="does not hold a JSON object") as caught:
        read_secrets(inventory)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_missing_file_names_the_command_that_makes_it(inventory: Path, owner: Identity) -> None:
    with pytest.raises(SecretsError, match="there is no secrets file") as caught:
        read_secrets(inventory)
    assert caught.value.hint == f"run: smtpctl secrets init {inventory}"


def test_a_folder_that_does_not_exist_is_an_error_of_its_own(owner: Identity, tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="cannot lock"):
        put(tmp_path / "nowhere/lab.yml", owner, name="value")


def test_nobody_to_encrypt_for_is_refused() -> None:
    with pytest.raises(SecretsError, match="no recipient"):
        seal({}, [])


def test_placeholders_stand_in_without_file_or_identity(inventory: Path, identity: Path) -> None:
    assert read_secrets(inventory, placeholders=True)["tls/ca/key"] == "PLACEHOLDER(tls/ca/key)"
    put(inventory, create_identity(identity), name="value")
    identity.unlink()
    assert read_secrets(inventory, placeholders=True)["name"] == "PLACEHOLDER(name)"


def test_placeholders_stand_in_for_who_is_no_recipient(
    inventory: Path, owner: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inventory, owner, name="value")
    create_identity(tmp_path / "stranger.txt")
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "stranger.txt"))
    assert read_secrets(inventory, placeholders=True)["name"] == "PLACEHOLDER(name)"


def test_placeholders_stand_in_for_single_missing_secrets_only(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, name="value")
    secrets = read_secrets(inventory, placeholders=True)
    assert (secrets["name"], secrets["other"]) == ("value", "PLACEHOLDER(other)")
    with pytest.raises(SecretsError, match="'other' is missing"):
        read_secrets(inventory)["other"]


def test_placeholders_do_not_hide_damage(inventory: Path, owner: Identity) -> None:
    put(inventory, owner, name="value")
    secrets_path(inventory).write_bytes(b"age-encryption.org/v1\nrubbish")
    with pytest.raises(SecretsError, match="is damaged"):
        read_secrets(inventory, placeholders=True)


def test_an_identity_open_to_others_is_refused_even_for_placeholders(
    inventory: Path, owner: Identity, identity: Path
) -> None:
    put(inventory, owner, name="value")
    identity.chmod(0o644)
    with pytest.raises(SecretsError, match="has mode 0644"):
        read_secrets(inventory, placeholders=True)
    identity.chmod(0o600)
    assert load_identity(identity).public_key == owner.public_key
