"""Settings of Postfix that a policy service cannot live with, a table of them; and ours, which it can."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_service.rules import RULE_NAMES
from policy_service.rules_file import parse
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.operate.policy_probe import backlogs
from smtpctl.operate.policy_settings import Needs, addresses, findings
from smtpctl.render import render_fleet
from smtpctl.render.rules.postfix_files import Instance, parameters, services
from tests.policy_service.daemons import running

RULES = Path(__file__).parents[1] / "policy_service" / "dialogues" / "rules.json"
LAB = Path(__file__).parents[2] / "inventory" / "lab.yml"
ASK = "check_policy_service { unix:policy, timeout=10s, default_action=451 }"
MASTER = "submission inet n - y - - smtpd\n"
GOOD = f"smtpd_recipient_restrictions = {ASK},\n  permit_sasl_authenticated, reject\nsmtpd_data_restrictions = {ASK}\n"


def instance(main: str, master: str = MASTER) -> Instance:
    return Instance("/etc/postfix", parameters(main), services(master))


@pytest.mark.parametrize(
    ("main", "master"),
    [
        (GOOD, MASTER),
        (GOOD.replace("default_action=451", "{ default_action = 451 4.3.5 away }"), MASTER),
        (GOOD.replace(", timeout=10s", "") + "smtpd_policy_service_timeout = 20s\n", MASTER),
        (GOOD.replace(ASK, "check_policy_service unix:policy") + "smtpd_policy_service_timeout = 5\n"
         "smtpd_policy_service_default_action = 451 4.3.5 away\n", MASTER),
        # who takes no mail from anybody need not ask
        (GOOD, MASTER + "127.0.0.1:10588 inet n - y - - smtpd -o smtpd_recipient_restrictions=reject\n"),
        ("ask = " + ASK + "\nsmtpd_relay_restrictions = $ask, permit_sasl_authenticated, reject\n"
         "smtpd_data_restrictions = ${ask}\n", MASTER),
    ],
)  # fmt: skip
def test_good_settings_have_no_findings(main: str, master: str) -> None:
    assert findings(instance(main, master)) == ()


@pytest.mark.parametrize(
    ("main", "master", "words"),
    [
        ("smtpd_recipient_restrictions = permit", MASTER, ["nothing is limited"]),
        (GOOD.replace("timeout=10s", "timeout=11s", 1), MASTER, ["another connection"]),
        (GOOD.replace(", timeout=10s", ""), MASTER, ["no timeout is stated"]),
        (GOOD.replace("10s", "2m"), MASTER, ["timeout 2m is more than 30 s"]),
        (GOOD.replace(", default_action=451", ""), MASTER, ["no default action"]),
        (GOOD.replace("451", "DUNNO"), MASTER, ["'DUNNO': a silent service means mail without limits"]),
        (GOOD.replace("timeout=10s", "timeout=10s, try_limit=1"), MASTER, ["try_limit 1"]),
        (GOOD + "smtpd_policy_service_try_limit = 1\n", MASTER, ["try_limit 1"]),
        (GOOD.partition("smtpd_data")[0], MASTER, ["not asked at DATA"]),
        (f"smtpd_data_restrictions = {ASK}", MASTER, ["not asked at RCPT"]),
        (GOOD.replace(f"{ASK},", f"permit_mynetworks, {ASK},"), MASTER, ["permit_mynetworks stands before"]),
        (GOOD, MASTER + "2525 inet n - y - - smtpd -o smtpd_data_restrictions=\n", ["not asked at DATA"]),
    ],
)
def test_each_bad_setting_is_found(main: str, master: str, words: list[str]) -> None:
    found = findings(instance(main, master))
    assert len(found) == len(words), found
    for finding, text in zip(found, words, strict=True):
        assert text in finding.text
        assert finding.remedy


def test_limits_in_bytes_need_the_end_of_the_message() -> None:
    (found,) = findings(instance(GOOD), Needs(end=True))
    assert "bytes are not counted" in found.text
    assert findings(instance(GOOD + f"smtpd_end_of_data_restrictions = {ASK}\n"), Needs(end=True)) == ()


def test_a_transport_that_a_stream_leaves_by_has_to_be_there() -> None:
    (found,) = findings(
        instance(GOOD, MASTER + "bulk unix - - n - - smtp\n"), Needs(transports=frozenset({"bulk", "x"}))
    )
    assert "has no transport x" in found.text


@pytest.mark.parametrize(
    ("asked", "master", "expected"),
    [
        ("unix:policy", MASTER, "unix:/q/policy"),
        ("unix:a/b.sock", MASTER.replace("- y", "- n"), "unix:/q/a/b.sock"),
        ("unix:/run/p", MASTER, "unix:/q/run/p"),
        ("unix:/run/p", MASTER.replace("- y", "- n"), "unix:/run/p"),
        ("inet:127.0.0.1:10031", MASTER, "inet:127.0.0.1:10031"),
    ],
)
def test_addresses_are_those_that_smtpd_reaches_from_its_jail(asked: str, master: str, expected: str) -> None:
    main = "queue_directory = /q\n" + GOOD.replace("unix:policy", asked)
    assert addresses(instance(main, master)) == (expected,)


def test_a_short_queue_of_the_listener_is_found() -> None:
    lines = "u_str LISTEN 0 1024 /q/a 1 * 0\nu_str LISTEN 0 5 /q/b 1 * 0\ntcp LISTEN 0 7 127.0.0.1:10031 0.0.0.0:*\n"
    found = list(backlogs(lines, ("unix:/q/a", "unix:/q/b", "inet:localhost:10031", "unix:/q/none")))
    assert [(one.place, one.text.partition(":")[0]) for one in found] == [
        ("unix:/q/b", "its listening queue holds 5 connections"),
        ("inet:localhost:10031", "its listening queue holds 7 connections"),
    ]


def test_what_we_render_has_no_findings() -> None:
    host = render_fleet(load_fleet(LAB), Secrets({}, placeholders=True), hosts=["edge1"])["edge1"]
    main, master = (host.files[f"/etc/postfix-submission/{name}.cf"].content.decode() for name in ("main", "master"))
    assert findings(Instance("/etc/postfix-submission", parameters(main), services(master))) == ()


Doctor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """The command on a Postfix whose queue directory is the test's; whoever listens there is asked as its own user."""

    def run(*arguments: str, main: str = GOOD) -> subprocess.CompletedProcess[str]:
        (tmp_path / "master.cf").write_text(MASTER)
        (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}\nmail_owner = root\n{main}")
        command = [sys.executable, "-m", "smtpctl", "policy", "doctor", "--config", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_the_command_finds_nothing_wrong_with_our_own_service_and_names_what_is_wrong_in_a_folder(
    doctor: Doctor, tmp_path: Path
) -> None:
    with running(tmp_path / "daemon", "serve", "--rules", str(RULES), "--listen", f"unix:{tmp_path}/policy"):
        good = doctor()
        assert (good.returncode, good.stdout) == (0, "this machine: Postfix asks the policy service as it should\n")
        bad = doctor("--json", main=GOOD.replace("451", "DUNNO"))
    assert bad.returncode == 1
    (found,) = json.loads(bad.stdout)["hosts"]["this machine"]
    assert found["place"] == f"{tmp_path}/main.cf: smtpd_recipient_restrictions"


@pytest.mark.parametrize(
    ("replies", "words"),
    [(1, "closes the connection after a reply: each further question costs Postfix a whole second"), (0, "hangs up")],
)
def test_a_service_that_does_not_keep_the_connection_is_found(
    doctor: Doctor, tmp_path: Path, replies: int, words: str
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "policy"))
        sock.listen(1024)

        def serve() -> None:
            connection, _ = sock.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"action=DUNNO\n\n" * replies)

        thread = threading.Thread(target=serve)
        thread.start()
        ended = doctor()
        thread.join()
    assert ended.returncode == 1
    assert words in ended.stdout


def test_a_socket_where_nobody_listens_is_found(doctor: Doctor, tmp_path: Path) -> None:
    ended = doctor()
    assert ended.returncode == 1
    assert f"unix:{tmp_path}/policy: nobody can be reached there" in ended.stdout


def test_the_settings_and_rules_that_the_page_shows_are_sound() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
    (main,) = [text for _, text in blocks if text.startswith("smtpd_recipient_restrictions")]
    assert findings(instance(main)) == ()
    (rules,) = [text for kind, text in blocks if kind == "json"]
    assert parse(rules, rule_names=RULE_NAMES).credentials["shop"].limits
