"""Which servers answer below a master: real processes in the places of Postfix's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from smtpctl.transport.agent.reloads import servers

#: A master that starts the programs it is given, says when they run, and takes note when one ends.
MASTER = """
import subprocess, sys
children = [subprocess.Popen([program, "600"]) for program in sys.argv[1:]]
print("ready", flush=True)
for child in children:
    child.wait()
    print("ended", flush=True)
"""


def test_servers_of_a_master_are_known_until_they_end(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    for name in ("smtpd", "qmgr"):
        shutil.copy(sleep, tmp_path / name)
    command = [sys.executable, "-c", MASTER, str(tmp_path / "smtpd"), str(tmp_path / "qmgr")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        assert master.stdout.readline() == "ready\n"
        file = tmp_path / "master.pid"
        file.write_text(f"{master.pid:>10}\n")  # as master(8) pads it
        (server,) = servers(file)
        assert Path(f"/proc/{server}/comm").read_text() == "smtpd\n"
        subprocess.run(["kill", server], check=True)
        assert master.stdout.readline() == "ended\n"
        assert servers(file) == set()
        subprocess.run(["pkill", "-P", str(master.pid)], check=True)
    assert servers(file) == set()


def test_a_master_that_never_ran_has_no_servers(tmp_path: Path) -> None:
    assert servers(tmp_path / "master.pid") == set()
