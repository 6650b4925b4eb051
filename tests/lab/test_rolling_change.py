"""Changes that restart what carries mail, while mail flows; and what interrupts them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import rolling
from tests.lab.support import INVENTORY, REPOSITORY, AppliedFleet, server_states, smtpctl
from tests.lab.traffic import SteadyMail

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: States of the servers of the pools, as the loopback HAProxy of edge1 sees them.
STATES = """
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect("/run/haproxy-submission/admin.sock")
connection.sendall(b"show stat -1 4 -1\\n")
for line in connection.makefile().read().splitlines()[1:]:
    fields = line.split(",")
    if len(fields) > 17:
        print(f"{fields[0]}/{fields[1]}={fields[17]}")
"""


@pytest.fixture(scope="module")
def restored(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet, which is on its own inventory again after these tests."""
    yield applied
    with applied.lab.entered():
        smtpctl("apply", str(INVENTORY), "--yes")


def pool_states(applied: AppliedFleet) -> dict[str, str]:
    lines = applied.lab.run("edge1", ["python3", "-c", STATES]).stdout.splitlines()
    return dict(line.split("=") for line in lines)


def wait_until_taking_mail(applied: AppliedFleet, server: str, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not pool_states(applied)[server].startswith("UP"):
        assert time.monotonic() < deadline, f"{server} takes no mail after {patience} s: {pool_states(applied)}"
        time.sleep(0.2)


def wait_until_whole(applied: AppliedFleet, host: str, patience: float = 90.0) -> None:
    """Wait until ``host`` has led itself back: an apply whose controller was killed leaves that to it."""
    deadline = time.monotonic() + patience
    free = "flock -n /var/lib/smtpctl true && ! test -e /var/lib/smtpctl/journal.json"
    while applied.lab.run(host, ["sh", "-c", free], check=False).returncode != 0:
        assert time.monotonic() < deadline, f"{host} still has a journal or is locked after {patience} s"
        time.sleep(0.2)


def test_both_edges_restart_and_no_message_is_refused_lost_or_doubled(restored: AppliedFleet, tmp_path: Path) -> None:
    """Both submission hosts are drained and the virtual address moves. The whole fleet: `make torture`."""
    seed = int(os.environ.get("SMTPCTL_SEED") or random.randrange(10**6))
    print(f"SMTPCTL_SEED={seed}")
    chosen = random.Random(seed).sample(rolling.SUBMISSION, 2)
    inventory = rolling.inventory_with(tmp_path, (*rolling.BALANCER, *rolling.EVERY_POSTFIX, *chosen), "a change")
    mail = SteadyMail(restored, rate=5)
    with mail.flowing():
        answer = smtpctl("apply", str(inventory), "--role", "submission", "--yes")
    assert answer.stderr.count(" move 10.78.0.10 to ") == 1
    assert "sessions were cut" not in answer.stderr
    mail.require_whole()
    assert len(mail.accepted) > 50
    for balancer in ("edge1", "edge2"):
        states = server_states(restored, balancer)
        assert [states[host][:2] for host in ("edge1", "edge2")] == ["UP", "UP"]


def test_the_plan_says_what_gives_way_in_words_and_as_json(applied: AppliedFleet, tmp_path: Path) -> None:
    inventory = rolling.inventory_with(tmp_path, rolling.RELAY, "a change")
    shown = smtpctl("plan", str(inventory), "--role", "relay").stdout
    assert "drain transactional/relay1, marketing/relay1 at edge1, edge2" in shown
    assert "wait until postfix@transactional, postfix@marketing on relay2 has handed on" in shown
    waves = json.loads(smtpctl("plan", str(inventory), "--role", "relay", "--json").stdout)["waves"]
    assert [[turn["host"] for turn in wave] for wave in waves] == [["relay1"], ["relay2"]]
    assert [drain["at"] for drain in waves[0][0]["drains"]] == ["edge1", "edge2"]


def interrupted(inventory: Path, step: str, number: int, *more: str) -> tuple[int, list[dict[str, str]]]:
    """Apply, and send a signal to the controller when ``step`` begins; its exit code and events."""
    command = [sys.executable, "-m", "smtpctl", "apply", str(inventory), "--yes", "--json", *more]
    events = []
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1].get("event") == step:
                process.send_signal(number)
    return process.returncode, events


def test_ctrl_c_finishes_the_relay_in_hand_sends_it_mail_again_and_begins_no_other(
    restored: AppliedFleet, tmp_path: Path
) -> None:
    inventory = rolling.inventory_with(tmp_path, rolling.RELAY, "interrupted")
    code, events = interrupted(inventory, "swap", signal.SIGINT)
    assert code == 4
    results = {event["host"]: event["outcome"] for event in events if "result" in event}
    assert (results["relay1"], results["relay2"]) == ("applied", "untouched")
    assert [event["detail"] for event in events if event.get("event") == "ready"] == ["at edge1", "at edge2"]
    assert set(pool_states(restored).values()) == {"UP"}


def test_a_drained_relay_gets_mail_again_when_the_controller_is_killed(restored: AppliedFleet, tmp_path: Path) -> None:
    inventory = rolling.inventory_with(tmp_path, rolling.RELAY, "killed")
    _, events = interrupted(inventory, "swap", signal.SIGKILL, "--host", "relay1")
    assert "swap" in [event.get("event") for event in events]
    wait_until_whole(restored, "relay1")
    wait_until_taking_mail(restored, "transactional/relay1")
    assert "smtpctl-ready" not in restored.lab.run("edge1", ["systemctl", "list-timers", "--all"]).stdout


def test_the_balancers_own_timer_sends_mail_again_when_its_agent_is_killed_too(
    restored: AppliedFleet, tmp_path: Path
) -> None:
    inventory = rolling.inventory_with(tmp_path, rolling.RELAY, "killed as well")
    command = [sys.executable, "-m", "smtpctl", "apply", str(inventory), "--yes", "--json", "--host", "relay1"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("event") == "swap":
                for edge in ("edge1", "edge2"):
                    restored.lab.run(edge, ["pkill", "-KILL", "-f", "smtpctl-agen[t]"])
                process.kill()
    assert process.returncode == -signal.SIGKILL, "the apply ended before it swapped a file"
    assert pool_states(restored)["transactional/relay1"].startswith("DRAIN")
    for edge in ("edge1", "edge2"):
        assert "smtpctl-ready-relay1.timer" in restored.lab.run(edge, ["systemctl", "list-timers"]).stdout
        # what the timer runs when its time has come; it belongs to PID 1 alone by now
        restored.lab.run(edge, ["systemctl", "start", "smtpctl-ready-relay1.service"])
    wait_until_whole(restored, "relay1")
    wait_until_taking_mail(restored, "transactional/relay1")


def test_the_last_relay_that_takes_mail_is_not_drained(restored: AppliedFleet, tmp_path: Path) -> None:
    """relay1 is out of order: restarting relay2 would stop all mail, so it is not begun."""
    inventory = rolling.inventory_with(tmp_path, rolling.RELAY, "refused")
    restored.lab.run("relay1", ["systemctl", "stop", "postfix@transactional"])
    try:
        deadline = time.monotonic() + 60
        while pool_states(restored)["transactional/relay1"].startswith("UP"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        answer = smtpctl("apply", str(inventory), "--host", "relay2", "--yes", check=False)
    finally:
        restored.lab.run("relay1", ["systemctl", "start", "postfix@transactional"])
    assert answer.returncode == 1
    assert "transactional/relay2 is the only server of transactional that takes mail here" in answer.stderr
    assert "HINT: bring the others back first" in answer.stderr
    wait_until_taking_mail(restored, "transactional/relay1")
    wait_until_taking_mail(restored, "transactional/relay2")
