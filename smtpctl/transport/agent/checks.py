"""Validation: the servers' own checkers, run where the staged tree is seen at its final paths and nowhere else.

A process of ours holds a private mount namespace in which the staged tree lies over the live folders (overlayfs), and
files that go away are gone. Each checker runs in that namespace; the host itself sees nothing of it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import StepError, processes, staging
from .store import Store

#: A checker that takes longer hangs.
TIMEOUT = 60


def run_all(store: Store, checks: Sequence[dict[str, Any]], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run ``checks`` over the staged tree of ``wanted`` files; ``{name, ok, output}`` for each, in order."""
    if not checks:
        return []
    from concurrent.futures import ThreadPoolExecutor  # costs a plan, which checks nothing, more than its facts

    removed = [path for path, fact in wanted.items() if fact["kind"] == "absent"]
    with _namespace(_mounts(store, list(wanted), removed)) as pid, ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda check: _run(pid, check), checks))


def _run(pid: int, check: dict[str, Any]) -> dict[str, Any]:
    inside = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--wd=/", "--", *check["command"]]
    result = processes.run(inside, timeout=TIMEOUT)
    output = result.output.strip()
    fatal = [line for line in output.splitlines() if any(re.search(mark, line) for mark in check["fatal_output"])]
    if result.code and not output:
        output = f"{check['command'][0]} exits with {result.code}"
    return {"name": check["name"], "ok": result.code == 0 and not fatal, "output": "\n".join(fatal) or output}


def _mounts(store: Store, paths: Sequence[str], removed: Sequence[str]) -> list[str]:
    """Commands that make the view. Removals are deletions in a layer above: whiteouts can not be made by hand
    everywhere (an overlay refuses them as its own lower layer)."""
    scratch = staging.scratch(store)
    commands = [f"mount -t tmpfs -o mode=0700 smtpctl {scratch}"]
    for number, point in enumerate(staging.mount_points(paths)):
        upper, work = f"{scratch}/{number}/upper", f"{scratch}/{number}/work"
        lower = staging.staged_path(store, point)
        commands.append(f"mkdir -p {upper} {work} {lower}")
        commands.append(f"chmod --reference={point} {upper} && chown --reference={point} {upper}")
        options = f"upperdir={upper},workdir={work},lowerdir={lower}:{point}"
        commands.append(f"mount -t overlay -o {options} smtpctl {point}")
    if removed:
        commands.append(f"rm -f -- {shlex.join(removed)}")
    return commands


@contextmanager
def _namespace(commands: Sequence[str]) -> Iterator[int]:
    """Process id of a shell that waits inside the namespace; it ends when its standard input closes."""
    script = " && ".join([*commands, "echo ready", "read end"])
    shell = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=processes.ENVIRONMENT,
        start_new_session=True,
    )
    if shell.stdin is None or shell.stdout is None:
        raise StepError("validate", "no pipe to the mount namespace")
    try:
        answer = shell.stdout.readline().decode(errors="replace").strip()
        if answer != "ready":
            raise StepError("validate", f"the staged tree cannot be mounted in a namespace: {answer}")
        yield shell.pid
    finally:
        shell.stdin.close()
        shell.wait(timeout=10)
        shell.stdout.close()
