"""An apply on real hosts: everything or nothing, and nothing twice."""

from __future__ import annotations

import pytest

from smtpctl.model.artifacts import Action, Probe, Service
from smtpctl.model.records import Outcome
from tests.deploy.conftest import HOSTS, Bench, desired, file, greets, haproxy

pytestmark = pytest.mark.lab

USERS = file("/etc/sysusers.d/trial.conf", 'u trial - "trial"\n')
FOLDERS = file("/etc/tmpfiles.d/trial.conf", "d /var/lib/trial 0750 trial trial -\n")


def test_a_plan_writes_nothing_on_a_bare_host(bench: Bench) -> None:
    marker = bench.mark("relay1")
    plan = bench.plan(desired("relay1", haproxy(), file("/etc/trial/a", "x\n"), probes=[greets()]))
    assert [change.path for change in plan.files] == ["/etc/haproxy/haproxy.cfg", "/etc/trial/a"]
    assert bench.written_since("relay1", marker) == []
    assert "No such file" in bench.run("relay1", "ls /var/lib/smtpctl 2>&1", check=False)


def test_a_bare_host_is_brought_to_its_state_in_one_apply(bench: Bench) -> None:
    secret = file("/etc/trial/secrets/key", "hunter2\n", mode=0o640, group="trial", secret=True)
    wanted = desired("relay1", haproxy(), USERS, FOLDERS, secret, probes=[greets()], masked=["postfix.service"])
    result = bench.apply(wanted)["relay1"]
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    assert bench.run("relay1", "cat /etc/haproxy/haproxy.cfg") == haproxy().content.decode()
    assert bench.run("relay1", "stat -c '%a %U %G' /etc/trial/secrets/key /var/lib/trial").split("\n") == [
        "640 root trial",
        "750 trial trial",
        "",
    ]
    assert bench.run("relay1", "systemctl is-enabled haproxy smtpctl-recover postfix", check=False).split() == [
        "enabled",
        "enabled",
        "masked",
    ]
    assert bench.run("relay1", "ls -A /var/lib/smtpctl").split() == [
        "agent",
        "agents",
        "objects",
        "revisions",
        "undone",
    ]
    assert bench.run("relay1", "stat -c %a /var/lib/smtpctl").strip() == "700"
    assert "smtpctl-undo" not in bench.run("relay1", "systemctl list-units --all --plain")
    assert bench.run("relay1", "find /etc -name '*smtpctl-new' -o -name '*smtpctl-old'") == ""


def test_a_second_apply_finds_nothing_to_do_and_writes_nothing(bench: Bench) -> None:
    wanted = [desired(host, haproxy(), probes=[greets()]) for host in HOSTS]
    assert {result.outcome for result in bench.apply(*wanted).values()} == {Outcome.APPLIED}
    markers = {host: bench.mark(host) for host in HOSTS}
    assert {result.outcome for result in bench.apply(*wanted).values()} == {Outcome.UNCHANGED}
    assert {host: bench.written_since(host, marker) for host, marker in markers.items()} == {host: [] for host in HOSTS}


def test_new_files_have_an_age_so_that_postfix_does_not_wait_for_them(bench: Bench) -> None:
    bench.apply(desired("relay1", file("/etc/trial/a", "x\n"), services=[]))
    age = bench.run("relay1", "echo $(( $(date +%s) - $(stat -c %Y /etc/trial/a) ))")
    assert int(age) >= 60


def test_a_changed_line_reloads_and_does_not_restart(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(8080)))
    before = bench.run("relay1", "systemctl show -P MainPID haproxy")
    result = bench.apply(desired("relay1", haproxy(8081), probes=[greets(8081)]))["relay1"]
    assert result.outcome is Outcome.APPLIED
    assert bench.run("relay1", "systemctl show -P MainPID haproxy") == before
    assert bench.steps("relay1")[-3:] == ["reload", "probe", "done"]


def test_one_invalid_host_leaves_every_host_unchanged(bench: Bench) -> None:
    bench.apply(*(desired(host, haproxy(8080)) for host in HOSTS))
    markers = {host: bench.mark(host) for host in HOSTS}
    wanted = [desired(host, haproxy(8081, extra="nonsense\n" if host == "relay2" else "")) for host in HOSTS]
    results = bench.apply(*wanted)
    assert results["relay2"].outcome is Outcome.FAILED
    assert results["relay2"].step == "validate"
    assert "unknown keyword 'nonsense'" in results["relay2"].detail
    assert {results[host].outcome for host in HOSTS if host != "relay2"} == {Outcome.UNTOUCHED}
    for host in HOSTS:
        written = bench.written_since(host, markers[host])
        assert [path for path in written if not path.startswith("/var/lib/smtpctl")] == []
        assert bench.run(host, "ls /var/lib/smtpctl/stage 2>&1", check=False).startswith("ls: cannot access")


def test_a_failed_probe_leads_back_to_the_old_files_and_the_old_process_state(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(8080)))
    wrong = Probe("nobody there", "tcp", "127.0.0.1:9", "", 0.5)
    result = bench.apply(desired("relay1", haproxy(8081), file("/etc/trial/new", "x\n"), probes=[wrong]))["relay1"]
    assert (result.outcome, result.step) == (Outcome.UNDONE, "probe")
    assert "nobody there: 127.0.0.1:9: Connection refused" in result.detail
    assert bench.run("relay1", "cat /etc/haproxy/haproxy.cfg") == haproxy(8080).content.decode()
    assert "No such file" in bench.run("relay1", "ls /etc/trial 2>&1", check=False)
    assert ":8080" in bench.run("relay1", "ss -ltn")
    assert ":8081" not in bench.run("relay1", "ss -ltn")
    assert bench.plan(desired("relay1", haproxy(8080))).empty


def test_a_failed_first_apply_leaves_a_bare_host(bench: Bench) -> None:
    original = bench.run("relay1", "cat /etc/haproxy/haproxy.cfg")
    result = bench.apply(desired("relay1", haproxy(), masked=["postfix.service"], probes=[greets(9, deadline=0.3)]))[
        "relay1"
    ]
    assert result.outcome is Outcome.UNDONE
    assert bench.run("relay1", "cat /etc/haproxy/haproxy.cfg") == original
    states = bench.run("relay1", "systemctl is-active haproxy; systemctl is-enabled haproxy postfix", check=False)
    assert states.split() == ["inactive", "disabled", "disabled"]


def test_a_service_that_does_not_start_is_led_back_with_its_own_words(bench: Bench) -> None:
    unit = file(
        "/etc/systemd/system/trial.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo the database is on fire; exit 3'\n"
        "[Install]\nWantedBy=multi-user.target\n",
    )
    result = bench.apply(desired("relay1", unit, services=[Service("trial.service", 20)], packages=[]))["relay1"]
    assert result.outcome is Outcome.UNDONE
    assert "the database is on fire" in result.detail
    assert "No such file" in bench.run("relay1", "ls /etc/systemd/system/trial.service 2>&1", check=False)
    assert "trial" not in bench.run("relay1", "ls /etc/systemd/system/multi-user.target.wants")


def test_a_service_that_dies_after_three_seconds_is_led_back(bench: Bench) -> None:
    def unit(script: str) -> list[object]:
        content = (
            f"[Service]\nExecStart=/bin/sh -c '{script}'\nRestart=always\nRestartSec=100ms\n"
            "[Install]\nWantedBy=multi-user.target\n"
        )
        return [file("/etc/systemd/system/trial.service", content)]

    service = Service("trial.service", 20)
    good = desired("relay1", *unit("exec sleep 1000"), services=[service], packages=[])  # type: ignore[arg-type]
    assert bench.apply(good)["relay1"].outcome is Outcome.APPLIED
    dying = desired("relay1", *unit("sleep 3; exit 1"), services=[service], packages=[])  # type: ignore[arg-type]
    result = bench.apply(dying)["relay1"]
    assert (result.outcome, result.step) == (Outcome.UNDONE, "watch trial.service")
    assert "sleep 1000" in bench.run("relay1", "systemctl show -P ExecStart trial.service")
    assert bench.run("relay1", "systemctl is-active trial.service").strip() == "active"


def test_a_service_that_says_it_gives_up_is_led_back_although_it_runs(bench: Bench) -> None:
    lines = "[Service]\nExecStart=/bin/sh -c '{} exec sleep 1000'\n[Install]\nWantedBy=multi-user.target\n"
    service = Service("trial.service", 20, (("/etc/trial/*", Action.RESTART),))
    path = "/etc/systemd/system/trial.service"
    bench.apply(desired("relay1", file(path, lines.format("")), services=[service], packages=[]))
    complaining = file(path, lines.format('echo "fatal: no such table: recipients";'))
    result = bench.apply(desired("relay1", complaining, services=[service], packages=[]))["relay1"]
    assert (result.outcome, result.step) == (Outcome.UNDONE, "log")
    assert "fatal: no such table: recipients" in result.detail
    assert "echo" not in bench.run("relay1", "systemctl show -P ExecStart trial.service")
    assert (
        bench.apply(desired("relay1", file(path, lines.format(":;")), services=[service], packages=[]))[
            "relay1"
        ].outcome
        is Outcome.APPLIED
    )


def test_what_is_no_longer_wanted_goes_away(bench: Bench) -> None:
    bench.run("relay1", "mkdir -p /etc/trial; echo mine > /etc/trial/not-ours")
    unit = file(
        "/etc/systemd/system/trial.service",
        "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n",
    )
    bench.apply(
        desired("relay1", unit, file("/etc/trial/a", "x\n"), services=[Service("trial.service", 20)], packages=[])
    )
    result = bench.apply(desired("relay1", services=[], packages=[]))["relay1"]
    assert result.outcome is Outcome.APPLIED
    assert bench.run("relay1", "ls /etc/trial").split() == ["not-ours"]
    assert bench.run("relay1", "systemctl is-active trial", check=False).strip() == "inactive"
    assert bench.plan(desired("relay1", services=[], packages=[])).empty


def test_folders_that_smtpctl_made_go_with_their_last_file(bench: Bench) -> None:
    bench.apply(desired("relay1", file("/etc/trial/deep/er/a", "x\n"), services=[]))
    bench.apply(desired("relay1", file("/etc/trial/b", "x\n"), services=[]))
    assert bench.run("relay1", "find /etc/trial").split() == ["/etc/trial", "/etc/trial/b"]
    bench.apply(desired("relay1", services=[]))
    assert "No such file" in bench.run("relay1", "ls /etc/trial 2>&1", check=False)


def test_a_file_edited_by_hand_is_refused_until_it_is_taken_over(bench: Bench) -> None:
    bench.apply(desired("relay1", file("/etc/trial/a", "one\n"), services=[]))
    bench.run("relay1", "echo mine > /etc/trial/a")
    wanted = desired("relay1", file("/etc/trial/a", "two\n"), services=[])
    assert bench.plan(wanted).edited == ("/etc/trial/a",)
    refused = bench.apply(wanted)["relay1"]
    assert (refused.outcome, refused.step) == (Outcome.FAILED, "plan")
    assert "edited by hand on the host: /etc/trial/a" in refused.detail
    assert bench.run("relay1", "cat /etc/trial/a") == "mine\n"
    assert bench.apply(wanted, take_over=True)["relay1"].outcome is Outcome.APPLIED
    assert bench.run("relay1", "cat /etc/trial/a") == "two\n"


def test_a_host_that_moves_between_plan_and_swap_is_refused(bench: Bench) -> None:
    bench.apply(desired("relay1", file("/etc/trial/a", "one\n"), services=[]))

    def move(plans: object) -> bool:
        bench.run("relay1", "echo moved > /etc/trial/a")
        return True

    result = bench.apply(desired("relay1", file("/etc/trial/a", "two\n"), services=[]), agree=move)["relay1"]
    assert (result.outcome, result.step) == (Outcome.FAILED, "journal")
    assert "changed on the host since it was observed: /etc/trial/a" in result.detail
    assert bench.run("relay1", "cat /etc/trial/a") == "moved\n"


def test_nothing_happens_when_nobody_agrees(bench: Bench) -> None:
    marker = bench.mark("relay1")
    result = bench.apply(desired("relay1", haproxy()), agree=lambda plans: False)["relay1"]
    assert result.outcome is Outcome.UNTOUCHED
    assert bench.written_since("relay1", marker) == []


def test_checks_see_the_whole_staged_tree_at_its_final_paths(bench: Bench) -> None:
    """A configuration that names another new file is valid only where both are seen; and a removed one is gone."""
    bench.apply(desired("relay1", file("/etc/trial/old.map", "x\n"), services=[]))
    uses_new = haproxy(extra="backend b\n  use-server a if { src -f /etc/trial/new.map }\n  server a 127.0.0.1:22\n")
    new = file("/etc/trial/new.map", "10.0.0.1\n")
    assert bench.apply(desired("relay1", uses_new, new))["relay1"].outcome is Outcome.APPLIED
    uses_old = haproxy(extra="backend b\n  use-server a if { src -f /etc/trial/old.map }\n  server a 127.0.0.1:22\n")
    refused = bench.apply(desired("relay1", uses_old, new))["relay1"]
    assert (refused.outcome, refused.step) == (Outcome.FAILED, "validate")
    assert "old.map" in refused.detail


def test_old_revisions_and_their_contents_are_pruned(bench: Bench) -> None:
    for number in range(5):
        bench.apply(desired("relay1", file("/etc/trial/a", f"{number}\n"), services=[]), keep=2)
    assert len(bench.run("relay1", "ls /var/lib/smtpctl/revisions").split()) == 2
    assert len(bench.run("relay1", "ls /var/lib/smtpctl/objects").split()) == 3


def test_a_restart_trigger_of_another_service_does_not_touch_this_one(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(), file("/etc/trial/a", "1\n")))
    before = bench.run("relay1", "systemctl show -P InvocationID rsyslog haproxy")
    rsyslog = Service("rsyslog.service", 10, (("/etc/trial/*", Action.RESTART),))
    from tests.deploy.conftest import HAPROXY_SERVICE

    both = desired("relay1", haproxy(), file("/etc/trial/a", "2\n"), services=[rsyslog, HAPROXY_SERVICE])
    assert bench.apply(both)["relay1"].outcome is Outcome.APPLIED
    after = bench.run("relay1", "systemctl show -P InvocationID rsyslog haproxy")
    assert before.splitlines()[-1] == after.splitlines()[-1]
    assert before.splitlines()[0] != after.splitlines()[0]
