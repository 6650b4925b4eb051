"""Our own programs as zipapps: one file each, the same bytes from the same sources on any machine.

Entries are sorted, stored without compression (its bytes depend on the zlib at hand) and carry one fixed time.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from smtpctl.errors import TemplateError

_FIXED_TIME = (2000, 1, 1, 0, 0, 0)
_SUFFIXES = {".py", ".sql", ".yml", ".json", ".toml"}
_MAIN = '"""Start the program."""\n\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n'


def build_zipapp(main: str, packages: Sequence[str]) -> bytes:
    """A zipapp that calls ``main`` (``module:function``) and holds ``packages``: dotted names of packages (whole) or
    modules, such as ``smtpctl.maillog`` and ``smtpctl.errors``. Raise TemplateError when one does not exist."""
    module, _, function = main.partition(":")
    entries = {"__main__.py": _MAIN.format(module=module, function=function).encode()}
    for package in packages:
        entries |= dict(_sources_of(package))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _FIXED_TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            bundle.writestr(info, entries[name])
    return b"#!/usr/bin/python3\n" + archive.getvalue()


def read_source(path: str) -> bytes:
    """A file below the packages' parent, such as ``smtpctl/ledger/sql/schema.sql``. Raise TemplateError if none."""
    file = _source_root() / path
    if not file.is_file():
        raise TemplateError(f"{path} is not part of this installation")
    return file.read_bytes()


def _source_root() -> Path:
    return Path(__file__).resolve().parent.parent.parent


def _sources_of(dotted: str) -> Iterator[tuple[str, bytes]]:
    root = _source_root()
    path = root.joinpath(*dotted.split("."))
    for parent in list(path.relative_to(root).parents)[:-1]:
        init = root / parent / "__init__.py"
        yield init.relative_to(root).as_posix(), init.read_bytes()
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.suffix in _SUFFIXES and "__pycache__" not in file.parts]
    else:
        found = [path.with_suffix(".py")]
    if not all(file.is_file() for file in found) or not found:
        raise TemplateError(f"package {dotted} is not part of this installation")
    for file in found:
        yield file.relative_to(root).as_posix(), file.read_bytes()
