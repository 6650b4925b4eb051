"""The wheel as users get it: it holds what it needs, holds no secret, and works from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PIP = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
MAIN = "from smtpctl.cli import main; main()"
SOURCES = (
    "smtpctl",
    "policy_service",
    "templates",
    "inventory",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built from a copy that has somebody's secrets lying beside the inventories."""
    checkout = tmp_path_factory.mktemp("checkout")
    leave = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=leave)
        else:
            shutil.copy(source, checkout / name)
    (checkout / "inventory" / "lab.secrets.age").write_text("not for others")
    (checkout / "inventory" / "mine.yml").write_text("not for others")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", folder=checkout)
    (built,) = (checkout / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an empty environment with the wheel in it; its dependencies are borrowed from ours."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), folder=folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), *PIP, str(wheel), folder=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(str(python), "-c", where, folder=folder).strip())
    # A path in a .pth file is searched, but .pth files found there are not: our own editable install stays invisible.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def run(*command: str, folder: Path) -> str:
    """Run a program in ``folder`` without anything of this checkout in its environment; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SMTPCTL"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_templates_inventories_and_sql(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    kept = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "templates").rglob("*") if path.is_file()}
    assert {f"smtpctl/_data/{name}" for name in kept} <= names
    assert {f"smtpctl/_data/inventory/{name}.yml" for name in ("reference", "single", "lab", "vagrant")} <= names
    assert {"smtpctl/ledger/sql/schema.sql", "smtpctl/py.typed", "policy_service/__init__.py"} <= names


def test_the_wheel_holds_no_secret_and_no_test(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".age", "mine.yml", ".pyc")) or name.startswith("tests/")]


def test_installed_it_comes_from_the_wheel_and_not_from_this_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(str(installed / "python"), "-c", "import smtpctl; print(smtpctl.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_installed_it_renders_from_any_folder_what_the_checkout_renders(installed: Path, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "inventory" / "reference.yml", tmp_path / "fleet.yml")
    command = ("render", "fleet.yml", "--out")
    from_wheel = run(str(installed / "smtpctl"), *command, "wheel", folder=tmp_path)
    from_checkout = run(sys.executable, "-c", MAIN, *command, "checkout", folder=tmp_path)
    assert from_wheel == from_checkout
    assert len(from_wheel.splitlines()) == 6


def test_installed_it_prints_its_help(installed: Path, tmp_path: Path) -> None:
    assert "validate" in run(str(installed / "smtpctl"), "--help", folder=tmp_path)
