"""Running the host's own programs: bounded in time, output kept together, a clean environment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

#: Locale C so that messages are the ones that documentation and bug reports show.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
    # Else enabling a unit that also has an init script runs update-rc.d, a second for each.
    "SYSTEMCTL_SKIP_SYSV": "1",
}


#: What timeout(1) exits with.
OUT_OF_TIME = 124


class Result(NamedTuple):
    """Exit code (negative: the signal; ``OUT_OF_TIME``), and standard output and error as one text."""

    code: int
    output: str


def run(command: Sequence[str], *, timeout: float, environment: dict[str, str] | None = None) -> Result:
    """Run ``command`` to its end or to ``timeout``; its whole process group dies with it then."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **(environment or {})},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return Result(127, f"{command[0]}: {error.strerror}")
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        text = output.decode(errors="replace")
        return Result(OUT_OF_TIME, f"{text}{command[0]}: no end after {timeout:g} s, killed")
    return Result(process.returncode, output.decode(errors="replace"))
