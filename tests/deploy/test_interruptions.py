"""Interruptions of an apply: whatever dies, and when, a host is wholly old or wholly new, and the next apply works."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from smtpctl.errors import HostError
from smtpctl.model.artifacts import Action, Service
from smtpctl.model.records import Event, Outcome
from smtpctl.transport.connection import operator
from tests.deploy.conftest import Bench, desired, file, greets, haproxy

pytestmark = pytest.mark.lab

OLD = desired("relay1", haproxy(8080), file("/etc/trial/a", "old\n"), probes=[greets(8080)])
NEW = desired("relay1", haproxy(8081), file("/etc/trial/b", "new\n"), probes=[greets(8081)])

#: Steps of an apply of NEW over OLD, as they are reported.
STEPS = ("stage", "validate", "swap", "reload", "probe")


def state_of(bench: Bench) -> str:
    """``old``, ``new`` or what there is instead: files, the running service and the revision, together."""
    files = bench.run("relay1", "cat /etc/haproxy/haproxy.cfg; cd /etc/trial; head *", check=False)
    listening = bench.run("relay1", "ss -Hltn 'sport = 8080 or sport = 8081' | awk '{ print $4 }'").strip()
    revisions = bench.run("relay1", "ls /var/lib/smtpctl/revisions").split()
    leftovers = bench.run("relay1", "find /etc -name '*smtpctl-new' -o -name '*smtpctl-old'")
    for name, wanted, port in (("old", OLD, "8080"), ("new", NEW, "8081")):
        content = wanted.files["/etc/haproxy/haproxy.cfg"].content.decode()
        if (content in files, f"127.0.0.1:{port}" == listening, wanted.revision in revisions[-1], name in files) == (
            (True,) * 4
        ) and not leftovers:
            return name
    return f"{files}\n{listening}\n{revisions}\n{leftovers}"


def in_a_process(work: Callable[[], object]) -> int:
    """Exit code of a process of its own that does ``work``: a controller that can be killed."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(120)
    code = process.exitcode
    assert code is not None, "the controller did not end"
    process.close()
    return code


def kill_at(step: str, number: int) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if event.step == step:
            os.kill(os.getpid(), number)

    return on_event


def no_agent_runs(bench: Bench) -> bool:
    return bench.run("relay1", "pgrep -f 'smtpctl-agen[t]'", check=False) == ""


@pytest.mark.parametrize("step", STEPS)
def test_a_controller_killed_at_any_step_leaves_a_host_that_the_next_apply_finishes(bench: Bench, step: str) -> None:
    bench.apply(OLD)
    assert in_a_process(lambda: bench.apply(NEW, on_event=kill_at(step, signal.SIGKILL))) == -signal.SIGKILL
    bench.eventually(lambda: no_agent_runs(bench))
    result = bench.apply(NEW)["relay1"]
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    assert state_of(bench) == "new"


def test_a_host_whose_controller_is_gone_leads_itself_back(bench: Bench) -> None:
    bench.apply(OLD)
    work = lambda: bench.apply(NEW, on_event=kill_at("swap", signal.SIGKILL), confirm_seconds=2)  # noqa: E731
    assert in_a_process(work) == -signal.SIGKILL
    bench.eventually(lambda: bench.run("relay1", "ls /var/lib/smtpctl/undone") != "")
    bench.eventually(lambda: no_agent_runs(bench))
    assert state_of(bench) == "old"
    assert bench.plan(OLD).empty
    assert "did not confirm in time" in bench.run("relay1", "cat /var/lib/smtpctl/undone/*.json")


@pytest.mark.parametrize("step", ["swap", "reload", "probe"])
def test_a_host_whose_power_is_cut_is_on_its_old_revision_when_it_serves_again(bench: Bench, step: str) -> None:
    bench.apply(OLD)

    def cut(event: Event) -> None:
        if event.step == step:
            bench.lab.stop_host("relay1")
            bench.lab.start_host("relay1")

    result = bench.apply(NEW, on_event=cut)["relay1"]
    assert result.outcome is Outcome.UNDONE
    bench.eventually(lambda: state_of(bench) == "old")  # a host that answers SSH may still be starting its services
    assert "restarted before the change was confirmed" in bench.run("relay1", "cat /var/lib/smtpctl/undone/*.json")
    recovered = bench.run("relay1", "systemctl show -P InactiveEnterTimestampMonotonic smtpctl-recover.service")
    served = bench.run("relay1", "systemctl show -P ExecMainStartTimestampMonotonic haproxy.service")
    assert 0 < int(recovered) < int(served)
    assert bench.apply(NEW)["relay1"].outcome is Outcome.APPLIED


def test_recovery_by_hand_leads_back_what_an_agent_left_that_was_killed(bench: Bench) -> None:
    bench.apply(OLD)

    def kill(event: Event) -> None:
        if event.step == "probe":
            bench.run("relay1", "systemctl stop smtpctl-undo.timer; pkill -KILL -f 'smtpctl-agen[t]'")
            bench.run("relay1", "test -e /var/lib/smtpctl/journal.json && python3 /var/lib/smtpctl/agent recover")

    assert bench.apply(NEW, on_event=kill)["relay1"].outcome is Outcome.UNDONE
    assert state_of(bench) == "old"
    assert "recovery was asked for" in bench.run("relay1", "cat /var/lib/smtpctl/undone/*.json")


def test_a_host_whose_power_is_cut_on_its_first_apply_is_bare_again(bench: Bench) -> None:
    unit = file(
        "/etc/systemd/system/trial.service",
        "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n",
    )

    def cut(event: Event) -> None:
        if event.step == "start":
            bench.lab.stop_host("relay1")
            bench.lab.start_host("relay1")

    wanted = desired("relay1", unit, services=[Service("trial.service", 20)], packages=[])
    assert bench.apply(wanted, on_event=cut)["relay1"].outcome is Outcome.UNDONE
    assert "No such file" in bench.run("relay1", "ls /etc/systemd/system/trial.service 2>&1", check=False)
    assert bench.run("relay1", "systemctl is-active trial.service", check=False).strip() == "inactive"
    assert "trial" not in bench.run("relay1", "ls /etc/systemd/system/multi-user.target.wants")


@pytest.mark.parametrize("step", ["stage", "swap", "probe"])
def test_a_connection_that_breaks_is_made_again_to_learn_what_became_of_the_host(bench: Bench, step: str) -> None:
    bench.apply(OLD)
    broken: list[str] = []

    def cut(event: Event) -> None:
        if event.step == step and not broken:
            broken.append(step)
            bench.run("relay1", "pkill -KILL -f '^sshd-session: root'")

    result = bench.apply(NEW, on_event=cut)["relay1"]
    assert result.outcome is (Outcome.FAILED if step == "stage" else Outcome.UNDONE)
    assert "the connection ended" in result.detail
    bench.eventually(lambda: no_agent_runs(bench))
    assert state_of(bench) == "old"
    assert bench.apply(NEW)["relay1"].outcome is Outcome.APPLIED


def test_a_packet_filter_that_locks_out_is_led_back(bench: Bench) -> None:
    ruleset = file(
        "/etc/nftables.conf",
        "flush ruleset\ntable inet filter {\n  chain input {\n    type filter hook input priority 0; policy drop;\n"
        "    ct state established accept\n  }\n}\n",
    )
    service = Service("nftables.service", 60, (("/etc/nftables.conf", Action.RELOAD),))
    result = bench.apply(desired("relay1", ruleset, services=[service]), confirm_seconds=40)["relay1"]
    assert (result.outcome, result.step) == (Outcome.UNDONE, "confirm")
    assert "no new connection after the change" in result.detail
    assert bench.plan(desired("relay1", services=[])).empty
    assert bench.run("relay1", "nft list ruleset") == ""


def test_a_way_back_is_held_against_the_health_checks_of_the_old_state(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(8080), probes=[greets(8080, deadline=0.2)]))
    shut = (
        "add table ip t; add chain ip t i { type filter hook input priority 0; }; add rule ip t i tcp dport 8080 reject"
    )
    bench.run("relay1", f"nft '{shut}'")
    new = desired("relay1", haproxy(8080), file("/etc/trial/b", "new\n"), probes=[greets(8089, deadline=0.2)])
    result = bench.apply(new)["relay1"]
    assert result.outcome is Outcome.UNDONE
    assert "; but: undo: not well on the old files: port 8080: 127.0.0.1:8080: Connection refused" in result.detail
    assert "not well on the old files" in bench.run("relay1", "cat /var/lib/smtpctl/undone/*.json")


@pytest.mark.slow
def test_a_packet_filter_that_cuts_the_connection_itself_is_led_back_by_the_host_alone(bench: Bench) -> None:
    ruleset = file(
        "/etc/nftables.conf",
        "flush ruleset\ntable inet filter {\n  chain input {\n    type filter hook input priority 0; policy drop;\n"
        "  }\n}\n",
    )
    service = Service("nftables.service", 60, (("/etc/nftables.conf", Action.RELOAD),))
    result = bench.apply(desired("relay1", ruleset, services=[service]), confirm_seconds=5)["relay1"]
    assert result.outcome is Outcome.UNDONE
    assert bench.run("relay1", "nft list ruleset") == ""


@contextmanager
def small_disk(bench: Bench, folder: str, size: str) -> Iterator[None]:
    """``folder`` of relay1 is on a disk of its own; what is there then is there afterwards."""
    bench.run("relay1", f"cp -a {folder} /root/saved; mount -t tmpfs -o size={size},mode=700 tmpfs {folder}")
    try:
        bench.run("relay1", f"cp -a /root/saved/. {folder}")
        yield
    finally:
        bench.run(
            "relay1", f"cp -a {folder}/. /root/saved; umount -l {folder}; rm -rf {folder}; mv /root/saved {folder}"
        )


@pytest.mark.parametrize("folder", ["/etc/trial", "/var/lib/smtpctl"])
def test_a_full_disk_leaves_the_old_revision_and_the_next_apply_works(bench: Bench, folder: str) -> None:
    bench.apply(OLD)
    large = desired("relay1", haproxy(8081), file("/etc/trial/large", "x" * 2_000_000))
    with small_disk(bench, folder, "1m"):
        result = bench.apply(large)["relay1"]
    assert result.outcome in (Outcome.FAILED, Outcome.UNDONE)
    assert "No space left on device" in result.detail
    assert state_of(bench) == "old"
    assert bench.apply(large)["relay1"].outcome is Outcome.APPLIED


def test_a_disk_that_is_full_by_then_has_room_for_the_record_of_the_way_back(bench: Bench) -> None:
    bench.apply(OLD)
    large = file("/etc/trial/b", "new\n" * 9_000)
    unwell = desired("relay1", haproxy(8080), large, probes=[greets(8089, deadline=3.0)])

    def fill(event: Event) -> None:
        if event.step == "probe":
            bench.run("relay1", "cat /dev/zero > /var/lib/smtpctl/objects/zero", check=False)

    with small_disk(bench, "/var/lib/smtpctl", "4m"):
        result = bench.apply(unwell, on_event=fill)["relay1"]
        bench.run("relay1", "rm /var/lib/smtpctl/objects/zero")
    assert result.outcome is Outcome.UNDONE
    assert result.detail == "port 8089: 127.0.0.1:8089: Connection refused\nled back to the state before"
    assert "Connection refused" in bench.run("relay1", "cat /var/lib/smtpctl/undone/*.json")
    assert bench.run("relay1", "ls /var/lib/smtpctl/journal.json", check=False) == ""
    assert state_of(bench) == "old"


def test_a_change_that_takes_longer_than_the_bound_is_not_led_back_while_it_is_at_work(bench: Bench) -> None:
    slow = file(
        "/etc/systemd/system/trial.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sleep 4\n[Install]\nWantedBy=multi-user.target\n",
    )
    wanted = desired("relay1", slow, services=[Service("trial.service", 20, oneshot=True)], packages=[])
    result = bench.apply(wanted, confirm_seconds=1)["relay1"]
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    bench.eventually(lambda: no_agent_runs(bench))
    assert bench.plan(wanted).empty


def test_a_second_controller_is_refused_with_the_name_of_the_first(bench: Bench) -> None:
    bench.apply(OLD)
    second: list[tuple[Outcome, str, str]] = []
    errors: list[str] = []

    def meanwhile(plans: object) -> bool:
        result = bench.apply(NEW)["relay1"]
        second.append((result.outcome, result.step, result.detail))
        try:
            bench.plan(NEW)
        except HostError as error:
            errors.append(str(error))
        return True

    assert bench.apply(NEW, agree=meanwhile)["relay1"].outcome is Outcome.APPLIED
    ((outcome, step, detail),) = second
    assert (outcome, step) == (Outcome.FAILED, "lock")
    assert detail.startswith(f"being changed by {operator()}, for ")
    assert operator() in errors[0]


def test_ctrl_c_finishes_the_host_in_hand_and_begins_no_other(bench: Bench) -> None:
    other = replace(NEW, host="relay2")
    bench.touched.add("relay2")

    def work() -> None:
        results = bench.apply(NEW, other, on_event=kill_at("swap", signal.SIGINT))
        assert [results[host].outcome for host in ("relay1", "relay2")] == [Outcome.APPLIED, Outcome.UNTOUCHED]

    bench.apply(OLD)
    assert in_a_process(work) == 0
    assert state_of(bench) == "new"
    assert bench.plan(NEW).empty
    assert "No such file" in bench.run("relay2", "ls /etc/trial 2>&1", check=False)
