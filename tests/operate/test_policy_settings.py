"""Settings of Postfix that a policy service cannot live with, a table of them; and ours, which it can."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from policy_service.rules import RULE_NAMES
from policy_service.rules_file import parse
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.operate.policy_settings import backlog, findings
from smtpctl.render import render_fleet
from smtpctl.render.rules.postfix_files import Instance, parameters, services

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
    (found,) = findings(instance(GOOD), counts_bytes=True)
    assert "bytes are not counted" in found.text
    assert findings(instance(GOOD + f"smtpd_end_of_data_restrictions = {ASK}\n"), counts_bytes=True) == ()


def test_a_short_queue_of_the_listener_is_found() -> None:
    assert backlog("unix:policy", 1024) == ()
    assert "holds 5 connections" in backlog("unix:policy", 5)[0].text


def test_what_we_render_has_no_findings() -> None:
    host = render_fleet(load_fleet(LAB), Secrets({}, placeholders=True), hosts=["edge1"])["edge1"]
    main, master = (host.files[f"/etc/postfix-submission/{name}.cf"].content.decode() for name in ("main", "master"))
    assert findings(Instance("/etc/postfix-submission", parameters(main), services(master))) == ()


def test_the_command_names_what_is_wrong_in_a_folder_and_fails(tmp_path: Path) -> None:
    (tmp_path / "master.cf").write_text(MASTER)
    (tmp_path / "main.cf").write_text(GOOD)
    command = [sys.executable, "-m", "smtpctl", "policy", "doctor", "--config", str(tmp_path)]
    good = subprocess.run(command, capture_output=True, text=True, check=True)
    assert good.stdout == "this machine: Postfix asks the policy service as it should\n"
    (tmp_path / "main.cf").write_text(GOOD.replace("451", "DUNNO"))
    bad = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    (found,) = json.loads(bad.stdout)["hosts"]["this machine"]
    assert found["place"] == f"{tmp_path}/main.cf: smtpd_recipient_restrictions"


def test_a_listener_with_a_short_queue_is_found_where_it_listens(tmp_path: Path) -> None:
    if shutil.which("ss") is None:
        pytest.skip("no ss(8) to ask for listening queues: apt-get install iproute2")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "policy"))
        sock.listen(5)
        (tmp_path / "master.cf").write_text(MASTER)
        (tmp_path / "main.cf").write_text(GOOD.replace("unix:policy", f"unix:{tmp_path}/policy"))
        command = [sys.executable, "-m", "smtpctl", "policy", "doctor", "--config", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "its listening queue holds 5 connections" in ended.stdout


def test_the_settings_and_rules_that_the_page_shows_are_sound() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
    (main,) = [text for _, text in blocks if text.startswith("smtpd_recipient_restrictions")]
    assert findings(instance(main)) == ()
    (rules,) = [text for kind, text in blocks if kind == "json"]
    assert parse(rules, rule_names=RULE_NAMES).credentials["shop"].limits
