"""The daemons as they reach a host: each zipapp holds every module that it imports, and none that hosts do not have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from smtpctl.render.programs import build_zipapp

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"

#: Not packaged by Debian or too heavy for a daemon: they belong to the controller.
CONTROLLER_ONLY = {"pydantic", "click", "jinja2", "paramiko", "pyrage"}

IMPORT_ALL = """
import importlib, json, sys, zipfile
sys.path.insert(0, sys.argv[1])
for name in zipfile.ZipFile(sys.argv[1]).namelist():
    if name.endswith(".py") and name != "__main__.py":
        importlib.import_module(name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
print(json.dumps({name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}))
"""


def programs() -> list[tuple[str, str, tuple[str, ...]]]:
    roles = [yaml.safe_load(path.read_text()) for path in sorted(TEMPLATES.glob("*/role.yml"))]
    return [
        (target, program["main"], tuple(program["packages"]))
        for role in roles
        for target, program in role.get("programs", {}).items()
    ]


@pytest.mark.parametrize(("target", "main", "packages"), programs())
def test_a_daemon_brings_every_module_that_it_imports(
    target: str, main: str, packages: tuple[str, ...], tmp_path: Path
) -> None:
    program = tmp_path / Path(target).name
    program.write_bytes(build_zipapp(main, packages))
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALL, str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    files: dict[str, str] = json.loads(done.stdout)
    ours = {name: file for name, file in files.items() if name.split(".")[0] in ("smtpctl", "policy_service")}
    assert main.partition(":")[0] in ours
    assert [name for name, file in ours.items() if not file.startswith(str(program))] == []
    assert {name.split(".")[0] for name in files} & CONTROLLER_ONLY == set()
