"""The agent as it is sent: the same bytes every time, and nothing in it but the standard library."""

from __future__ import annotations

import ast
import io
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

from smtpctl.transport import agent, bundle

SOURCES = sorted(Path(agent.__file__).parent.glob("*.py"))


def test_the_archive_is_the_same_bytes_in_another_process() -> None:
    code = "from smtpctl.transport.bundle import archive; import sys; sys.stdout.buffer.write(archive())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "1"})
    assert other.stdout == bundle.archive()


def test_every_module_of_the_agent_is_in_the_archive() -> None:
    names = zipfile.ZipFile(io.BytesIO(bundle.archive())).namelist()
    assert set(names) == {"__main__.py", *(f"smtpctl_agent/{path.name}" for path in SOURCES)}


def test_the_agent_imports_the_standard_library_and_itself_only() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {name.name.partition(".")[0] for name in node.names} <= sys.stdlib_module_names, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).partition(".")[0] in sys.stdlib_module_names, path


def test_the_command_names_who_is_at_work_and_asks_for_sudo_only_where_it_must() -> None:
    words = shlex.split(bundle.command("root", "ann@desk; rm -rf /"))
    assert words[0] == "/usr/bin/python3"
    assert words[-3:-1] == [agent.MARKER, "ann@desk; rm -rf /"]
    fixed, free = bundle.command("deploy", "ann@desk").split("; else ")
    assert shlex.split(fixed)[-6:-1] == ["sudo", "-n", bundle.FIXED_COMMAND, agent.MARKER, "ann@desk"]
    assert shlex.split(free)[:4] == ["exec", "sudo", "-n", "/usr/bin/python3"]


def test_a_plan_waits_for_no_module_that_only_a_change_needs() -> None:
    code = f"import sys; sys.path.insert(0, {str(SOURCES[0].parents[1])!r}); import agent.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, text=True).stdout
    heavy = {"typing", "pathlib", "subprocess", "shutil", "contextlib", "datetime", "agent.transaction", "agent.store"}
    assert heavy.isdisjoint(loaded.split())
