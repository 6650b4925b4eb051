"""Starting the process tree of a lab, and waiting until all of it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from smtpctl.errors import LabError
from smtpctl.lab.addresses import INTERNET, INTERNET_ADDRESS
from smtpctl.lab.internet import nameserver
from smtpctl.lab.internet.install import MILTER_PORT
from smtpctl.lab.internet.providers import PROVIDERS
from smtpctl.lab.network import inside, wait_for_greeting
from smtpctl.lab.plan import Plan
from smtpctl.lab.state import Record, Report, StateFolder

#: Seconds that hosts and internet have to answer; a loaded machine needs ten.
PATIENCE = 60.0


def boot(state: StateFolder, plan: Plan, report: Report) -> None:
    """Start the lab of ``plan``, whose files are in place, and return when every host and provider answers."""
    state.plan.write_text(plan.to_json())
    state.hosts.mkdir(mode=0o700)  # the hosts' users are not this machine's
    for host in plan.hosts:
        (state.hosts / host.name).mkdir()
    began = time.monotonic()
    record = _start_tree(state)
    await_ssh(state, record, [host.name for host in plan.hosts])
    report(f"{len(plan.hosts)} hosts answer SSH after {time.monotonic() - began:.1f} s")
    await_internet(state, record)
    report(f"name server and mailbox providers answer after {time.monotonic() - began:.1f} s")


def await_ssh(state: StateFolder, record: Record, hosts: Iterable[str]) -> None:
    """Wait until every one of ``hosts`` answers SSH."""
    silent = _silent(record, {host: (record.addresses[host], 22, b"SSH-") for host in hosts})
    if silent:
        raise LabError(f"no SSH answer from {', '.join(silent)}", hint=f"look at {state.console(silent[0])}")


def await_internet(state: StateFolder, record: Record) -> None:
    """Wait until name server, milter and every mailbox provider answer."""
    end = time.monotonic() + PATIENCE
    if not inside(record, lambda: nameserver.answers(end)):
        raise LabError("the lab's name server does not answer", hint=f"look at {state.console(INTERNET)}")
    servers = {provider.name: (provider.address, 25, b"220") for provider in PROVIDERS}
    silent = _silent(record, {"the milter": (INTERNET_ADDRESS, MILTER_PORT, b""), **servers})
    if silent:
        raise LabError(f"no answer from {', '.join(silent)}", hint=f"look at {state.console(INTERNET)}")


def _silent(record: Record, servers: Mapping[str, tuple[str, int, bytes]]) -> list[str]:
    """Names of ``servers`` (name: address, port, greeting) that do not answer in time."""
    end = time.monotonic() + PATIENCE
    return inside(record, lambda: [name for name, server in servers.items() if not wait_for_greeting(*server, end)])


def _start_tree(state: StateFolder) -> Record:
    """Start the process tree, under systemd in a scope that may have cgroups below, and return it when it is on
    record. It is a child of init's from then on, not of this process."""
    command = [sys.executable, "-m", "smtpctl.lab.supervisor", str(state.root)]
    if Path("/run/systemd/system").is_dir():
        scope = ["systemd-run", "--quiet", "--scope", "--property=Delegate=yes", f"--unit={state.name}"]
        command = [*scope, *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with state.supervisor_log.open("wb") as log:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment
        ).returncode
    record = state.running()
    if status != 0 or record is None:
        words = state.supervisor_log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise LabError(f"the lab's process tree did not start: {words[-1]}", hint=f"look at {state.supervisor_log}")
    return record
