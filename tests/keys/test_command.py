"""``smtpctl secrets`` as a person or a script meets it; and no value anywhere that it was not asked for."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from smtpctl.cli import main
from smtpctl.cli.editor import dump, parse
from smtpctl.errors import SecretsError
from smtpctl.keys.identity import create_identity, load_identity
from smtpctl.keys.scram import verifier
from smtpctl.keys.store import read_values

LAB = Path(__file__).parents[2] / "inventory/lab.yml"
CANARY = "smtpctl_CANARYcanaryCANARYcanary0123"


@dataclass(frozen=True)
class Result:
    """What one command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the lab's inventory in a folder of its own, which is also the working directory."""
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "identity.txt"))
    monkeypatch.delenv("SMTPCTL_INVENTORY", raising=False)
    folder = tmp_path / "fleet"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(LAB, folder / "inventory.yml")
    return folder / "inventory.yml"


@pytest.fixture
def run(inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``smtpctl secrets`` with the given arguments and standard input."""

    def run_secrets(*arguments: str, given: str = "") -> Result:
        monkeypatch.setattr(sys, "argv", ["smtpctl", "secrets", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run_secrets


@pytest.fixture
def stored(inventory: Path) -> Callable[[], dict[str, str]]:
    """Read what the file holds now."""
    return lambda: read_values(inventory, load_identity(Path(os.environ["SMTPCTL_AGE_IDENTITY"])))


@pytest.fixture
def ready(run: Run) -> Run:
    """``run``, after an init."""
    assert run("init").code == 0
    return run


def test_init_says_what_it_made_and_a_second_makes_nothing(run: Run) -> None:
    first = run("init", "inventory.yml")
    assert first.code == 0
    assert "made tls/edge1/certificate\n" in first.out
    assert "made the identity" in first.err
    second = run("init", "inventory.yml", "--json")
    assert json.loads(second.out) == {"version": 1, "made": []}
    assert second.err == ""


def test_list_shows_names_and_never_values(ready: Run, stored: Callable[[], dict[str, str]]) -> None:
    listed = ready("list")
    assert listed.out.splitlines() == sorted(stored())
    assert listed.err == ""
    for value in stored().values():
        assert value not in listed.out


def test_list_tells_what_is_missing_and_what_nobody_needs(ready: Run, inventory: Path) -> None:
    inventory.write_text(inventory.read_text().replace("  newsletter:", "  bulletin:"))
    answer = json.loads(ready("list", "--json").out)
    assert answer["missing"] == ["credentials/bulletin/password", "credentials/bulletin/scram"]
    assert answer["unused"] == ["credentials/newsletter/password", "credentials/newsletter/scram"]


def test_show_prints_one_value(ready: Run, stored: Callable[[], dict[str, str]]) -> None:
    assert ready("show", "credentials/shop/password").out == stored()["credentials/shop/password"] + "\n"
    assert ready("show", "inventory.yml", "tls/edge1/key").out == stored()["tls/edge1/key"]
    answer = json.loads(ready("show", "credentials/shop/scram", "--json").out)
    assert answer == {"version": 1, "name": "credentials/shop/scram", "value": stored()["credentials/shop/scram"]}


def test_show_of_a_missing_name_is_an_error(ready: Run) -> None:
    result = ready("show", "credentials/nobody/password")
    assert (result.code, result.out) == (1, "")
    assert "error: secret 'credentials/nobody/password' is missing" in result.err


def on_terminal(*arguments: str) -> tuple[int, str]:
    """Run the program with a terminal as its output, as nothing but a terminal can be one."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from smtpctl.cli import main; main()", "secrets", *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "PYTHONPATH": str(LAB.parents[1])}
    )
    os.close(theirs)
    output = b""
    # Linux ends the reading side of a terminal with EIO when its last writer has gone.
    with suppress(OSError):
        while chunk := os.read(ours, 4096):
            output += chunk
    os.close(ours)
    return process.wait(), output.decode()


def test_a_private_key_is_not_printed_to_a_terminal_without_yes(ready: Run) -> None:
    for name in ("dkim/shop.test/r1/private", "tls/ca/key"):
        code, output = on_terminal("show", name)
        assert code == 2
        assert "is a private key and this is a terminal" in output
        assert "BEGIN" not in output
        code, output = on_terminal("show", name, "--yes")
        assert code == 0
        assert "BEGIN PRIVATE KEY" in output
    assert "BEGIN CERTIFICATE" in on_terminal("show", "tls/ca/certificate")[1]


@pytest.mark.parametrize("given", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n"])
def test_set_reads_standard_input_and_makes_the_verifier(
    ready: Run, stored: Callable[[], dict[str, str]], given: str
) -> None:
    result = ready("set", "credentials/shop/password", given=given)
    assert result.out.splitlines() == ["changed credentials/shop/password", "changed credentials/shop/scram"]
    values = stored()
    assert values["credentials/shop/password"] == CANARY
    salt = base64.b64decode(values["credentials/shop/scram"].split(",")[1])
    assert values["credentials/shop/scram"] == verifier(CANARY, salt).for_dovecot()


def test_set_takes_a_signing_key_of_several_lines(ready: Run, stored: Callable[[], dict[str, str]]) -> None:
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout
    assert ready("set", "inventory.yml", "dkim/shop.test/r1/private", given=key).code == 0
    assert stored()["dkim/shop.test/r1/private"].startswith("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize("words", [(), ("a", "b", "c"), ("nowhere.yml", "credentials/shop/password")])
def test_wrong_words_are_a_usage_error(ready: Run, words: tuple[str, ...]) -> None:
    assert ready("set", *words, given=CANARY).code == 2


def test_a_value_on_the_command_line_is_no_way_to_set_one(ready: Run) -> None:
    result = ready("set", "inventory.yml", "credentials/shop/password", CANARY)
    assert result.code == 2
    assert "write [INVENTORY] NAME" in result.err


def test_rotate_makes_a_new_password(ready: Run, stored: Callable[[], dict[str, str]]) -> None:
    before = stored()
    result = ready("rotate", "inventory.yml", "credentials/shop", "--json")
    assert json.loads(result.out)["changed"] == ["credentials/shop/password", "credentials/shop/scram"]
    after = stored()
    assert {name for name in after if after[name] != before[name]} == set(json.loads(result.out)["changed"])


def test_rotate_refuses_a_signing_key_and_says_what_to_do(ready: Run) -> None:
    result = ready("rotate", "dkim/shop.test/r1")
    assert result.code == 1
    assert "cannot be replaced in place" in result.err
    assert "HINT: give the domain a new selector" in result.err


def test_rotating_the_authority_asks_first(ready: Run, stored: Callable[[], dict[str, str]]) -> None:
    before = stored()
    assert ready("rotate", "tls/ca", given="n\n").code == 1
    assert stored() == before
    assert ready("rotate", "tls/ca", "--yes").code == 0
    assert stored()["tls/ca/certificate"] != before["tls/ca/certificate"]


def test_edit_carries_over_what_the_editor_left(
    ready: Run, stored: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", f"sed -i 's|^credentials/shop/password: .*|credentials/shop/password: {CANARY}|'")
    monkeypatch.delenv("VISUAL", raising=False)
    before = stored()
    result = ready("edit")
    assert (result.out, result.code) == ("changed credentials/shop/password\n", 0)
    assert stored()["credentials/shop/password"] == CANARY
    assert stored()["credentials/shop/scram"] != before["credentials/shop/scram"]


def test_edit_without_a_change_changes_nothing(ready: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)
    before = inventory.with_suffix(".secrets.age").read_bytes()
    assert ready("edit").err == "nothing to do\n"
    assert inventory.with_suffix(".secrets.age").read_bytes() == before


@pytest.mark.parametrize(
    ("editor", "complaint"),
    [
        ("false", "the editor 'false' ended with status 1; nothing was changed"),
        ("no-such-editor", "cannot start the editor 'no-such-editor'"),
        ("sed -i '1i [{canary}'", "line"),
        ("sed -i 's|^credentials/shop/password: .*|credentials/shop/password: [{canary}]|'", "is not NAME: VALUE"),
        ("sed -i 's|^credentials/shop/password: .*|credentials/shop/password: short|'", "has 5 characters"),
    ],
)
def test_an_edit_that_fails_changes_nothing_and_repeats_nothing(
    ready: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch, editor: str, complaint: str
) -> None:
    monkeypatch.setenv("EDITOR", editor.format(canary=CANARY))
    monkeypatch.delenv("VISUAL", raising=False)
    before = inventory.with_suffix(".secrets.age").read_bytes()
    result = ready("edit")
    assert result.code == 1
    assert complaint in result.err
    assert CANARY not in result.out + result.err
    assert inventory.with_suffix(".secrets.age").read_bytes() == before


def test_an_editor_works_in_memory_and_leaves_nothing(
    ready: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "note"
    monkeypatch.setenv("EDITOR", f'sh -c \'stat -f -c %T "$0" > {note}; stat -c %a "$0" >> {note}; echo $0 >> {note}\'')
    monkeypatch.delenv("VISUAL", raising=False)
    assert ready("edit").code == 0
    kind, mode, path = note.read_text().split()
    assert (kind, mode) == ("tmpfs", "600")
    assert not Path(path).parent.exists()


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_vim_leaves_no_piece_of_a_secret_at_home(ready: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EDITOR", f"vim -es -c 'g/^credentials.shop.password/s/: .*/: {CANARY}/' -c 'y a' -c wq")
    monkeypatch.delenv("VISUAL", raising=False)
    assert ready("edit").out == "changed credentials/shop/password\n"
    assert list(home.rglob("*")) == []


def test_texts_survive_the_way_through_yaml() -> None:
    values = {
        "a": "yes",
        "b": "12:30",
        "c": "two\nlines\n",
        "d": "no end\nof line",
        "e": " spaces around ",
        "f": "# no comment",
        "g": "grün: {[}",
        "h": "x" * 500,
        "i": "0x10",
        "j": "\ttab",
    }
    assert parse(dump(values)) == values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2\n", "line 2 of the edited text repeats the name 'a'"),
        (f"- {CANARY}\n", "is not a list of NAME: VALUE lines"),
        (f"a: {{b: {CANARY}}}\n", "line 1 of the edited text is not NAME: VALUE"),
        (f"a: {CANARY}\n\tb: x\n", "line 2 of the edited text is not YAML"),
        (f"a: \x00{CANARY}\n", "the edited text is not YAML"),
        (f"a: x\n---\nb: {CANARY}\n", "the edited text is not YAML"),
    ],
)
def test_an_edited_text_that_cannot_be_is_refused_unrepeated(text: str, complaint: str) -> None:
    with pytest.raises(SecretsError, match=complaint) as caught:
        parse(text)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_colleague_can_be_let_in_and_shut_out(ready: Run, inventory: Path, tmp_path: Path) -> None:
    colleague = create_identity(tmp_path / "colleague.txt")
    added = ready("recipients", "--add", colleague.public_key, "--json")
    assert json.loads(added.out)["recipients"][-1] == colleague.public_key
    assert "credentials/shop/password" in read_values(inventory, colleague)
    removed = ready("recipients", "--remove", colleague.public_key)
    assert colleague.public_key not in removed.out
    with pytest.raises(SecretsError, match="not encrypted for the identity"):
        read_values(inventory, colleague)


def test_a_list_changed_by_hand_takes_effect_with_reencrypt(ready: Run, inventory: Path, tmp_path: Path) -> None:
    colleague = create_identity(tmp_path / "colleague.txt")
    with inventory.with_suffix(".recipients").open("a") as keys:
        keys.write(f"# Bob\n{colleague.public_key}\n")
    with pytest.raises(SecretsError):
        read_values(inventory, colleague)
    assert ready("recipients", "--reencrypt").code == 0
    assert read_values(inventory, colleague)


def test_recipients_refuses_what_makes_no_sense(ready: Run, tmp_path: Path) -> None:
    own = load_identity(Path(os.environ["SMTPCTL_AGE_IDENTITY"])).public_key
    stranger = str(pyrage.x25519.Identity.generate().to_public())
    assert "you would be locked out" in ready("recipients", "--remove", own).err
    assert "is not on the list" in ready("recipients", "--remove", stranger).err
    assert "is not a public key" in ready("recipients", "--add", "bob").err
    assert ready("recipients").out.split() == [own]


def test_a_wrong_identity_and_a_damaged_file_end_in_one_line_and_a_remedy(
    ready: Run, inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_identity(tmp_path / "stranger.txt")
    with monkeypatch.context() as patch:
        patch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "stranger.txt"))
        result = ready("list")
    assert result.code == 1
    assert len(result.err.splitlines()) == 2
    assert "HINT: let someone who can open it run: smtpctl secrets recipients" in result.err
    inventory.with_suffix(".secrets.age").write_bytes(b"age-encryption.org/v1\nrubbish")
    result = ready("show", "credentials/shop/password")
    assert result.code == 1
    assert "is damaged" in result.err
    assert "HINT: restore it" in result.err


def test_no_command_tells_a_value_that_it_was_not_asked_for(
    ready: Run, stored: Callable[[], dict[str, str]], inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("set", "credentials/shop/password", given=CANARY)
    ready("set", "extra/webhook/token", given=f"{CANARY}-extra")
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)
    results = [
        ready("list"),
        ready("list", "--json"),
        ready("init"),
        ready("edit"),
        ready("recipients"),
        ready("recipients", "--reencrypt"),
        ready("show", "credentials/shop"),
        ready("set", "credentials/shop/scram", given=CANARY),
        ready("set", "credentials/shpo/password", given=CANARY),
        ready("set", "credentials/shop/password", given=f"{CANARY} with spaces"),
        ready("set", "dkim/shop.test/r1/private", given=CANARY),
        ready("set", "tls/ca/key", given=CANARY),
        ready("rotate", "credentials/newsletter"),
        ready("rotate", "extra/webhook"),
    ]
    secret = [value for name, value in stored().items() if not name.endswith(("/public", "/certificate"))]
    for result in results:
        assert CANARY not in result.out + result.err
        for value in secret:
            assert value not in result.out + result.err
    for path in inventory.parent.rglob("*"):
        assert CANARY.encode() not in path.read_bytes()


def test_prune_takes_out_what_nothing_needs_and_nothing_else(run: Run, inventory: Path) -> None:
    run("init")
    run("set", "extra/hook/token", given="of a template")
    inventory.write_text(inventory.read_text().replace("  newsletter:", "  letters:"))
    assert run("prune").code == 1, "nobody said yes"
    done = run("prune", "--yes", "--json")
    assert json.loads(done.out)["removed"] == ["credentials/newsletter/password", "credentials/newsletter/scram"]
    names = json.loads(run("list", "--json").out)
    assert (names["unused"], "extra/hook/token" in names["names"]) == ([], True)
    assert run("prune", "--yes").err.strip() == "nothing to do"
