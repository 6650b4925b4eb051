"""The agent on a host that has none yet: it runs from memory, unpacks itself, and goes on from there, compiled."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from smtpctl.transport import bundle

#: What the loader does, and then the first step of a change.
RUN = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from smtpctl_agent import facts, installing
archive = Path(sys.argv[1]).read_bytes()
installing.unpack(Path(sys.argv[2]), sys.argv[3], archive)
from smtpctl_agent import checks
print(json.dumps({module.__name__: [module.__file__, module.__cached__] for module in (facts, checks)}))
"""


def unpacked(folder: Path) -> tuple[Path, dict[str, list[Any]]]:
    """The folder of the program after a run, and where that has its modules from."""
    archive = folder / "memory"
    archive.write_bytes(bundle.archive())
    digest = hashlib.sha256(bundle.archive()).hexdigest()
    command = [sys.executable, "-I", "-S", "-B", "-c", RUN, str(archive), str(folder / "agents"), digest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "agents" / digest, json.loads(done.stdout)


def test_what_is_imported_after_it_is_unpacked_comes_compiled_from_there(tmp_path: Path) -> None:
    place, modules = unpacked(tmp_path)
    assert modules["smtpctl_agent.facts"][0].startswith(str(tmp_path / "memory"))
    file, compiled = modules["smtpctl_agent.checks"]
    assert file == str(place / "smtpctl_agent" / "checks.py")
    assert Path(compiled).is_file()
    assert not place.with_name(".new").exists()


def test_nobody_else_may_read_or_change_it(tmp_path: Path) -> None:
    place, _ = unpacked(tmp_path)
    assert {path.stat().st_mode & 0o077 for path in (place, *place.rglob("*"))} == {0}


def test_a_program_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    place, _ = unpacked(tmp_path)
    before = place.stat().st_mtime_ns
    unpacked(tmp_path)
    assert place.stat().st_mtime_ns == before


def test_bytecode_of_another_python_is_ignored(tmp_path: Path) -> None:
    place, _ = unpacked(tmp_path)
    for compiled in place.rglob("*.pyc"):
        compiled.write_bytes(b"\0\0\0\0" + compiled.read_bytes()[4:])
    code = "from smtpctl_agent import __main__, checks, transaction, recovery"
    command = [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(place)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
