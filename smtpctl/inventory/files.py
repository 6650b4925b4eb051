"""Reads inventories from disk: the only module of this package that opens a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smtpctl.inventory.checks.overlay import overlay_findings
from smtpctl.inventory.document import Document
from smtpctl.inventory.judge import judge, place_finding
from smtpctl.inventory.problems import InventoryProblems, Problem
from smtpctl.model.fleet import Fleet

#: More than 60 hosts need, by far; a larger file is something else.
LARGEST = 4 * 1024 * 1024


#: Asked for the folder of the built-in templates (``smtpctl.render.template_root``; render is no package to know here).
TemplateRoot = Callable[[], Path]


def load_fleet(path: Path, *, built_in_templates: TemplateRoot | None = None, content: bytes | None = None) -> Fleet:
    """The fleet that the file describes. Raise InventoryProblems with everything that is wrong with it.

    ``built_in_templates`` says where those are; it is asked where the inventory has an overlay, whose paths are then
    held against them. ``content`` is the file's, where it has been read.
    """
    fleet, problems = _examine(path, built_in_templates, content)
    if fleet is None or problems:
        raise InventoryProblems(problems)
    return fleet


def check(path: Path, *, built_in_templates: TemplateRoot | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong with the inventory at ``path``, in the file's order; empty when it is sound."""
    return _examine(path, built_in_templates)[1]


def _examine(
    path: Path, built_in_templates: TemplateRoot | None, content: bytes | None = None
) -> tuple[Fleet | None, tuple[Problem, ...]]:
    text = _read_text(path, content)
    if isinstance(text, Problem):
        return None, (text,)
    fleet, document, problems = judge(text, str(path))
    if document is not None:
        problems += _overlay_problems(path, document, built_in_templates)
    return fleet, tuple(sorted(problems))


def _read_text(path: Path, content: bytes | None) -> str | Problem:
    hint = "name the inventory, or set SMTPCTL_INVENTORY: smtpctl validate inventory/reference.yml"
    try:
        if content is None:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
    except OSError as error:
        return Problem(str(path), 1, 1, f"the inventory cannot be read: {error.strerror}", hint)
    if len(content) > LARGEST:
        return Problem(str(path), 1, 1, f"the file is larger than {LARGEST // 1024 // 1024} MiB", hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        return Problem(str(path), line, column, message, "save the file as UTF-8")


def _overlay_problems(path: Path, document: Document, built_in_templates: TemplateRoot | None) -> tuple[Problem, ...]:
    folder = document.data.get("templates") if isinstance(document.data, dict) else None
    if not isinstance(folder, str):
        return ()
    built_in = _files_below(built_in_templates()) if built_in_templates else None
    findings = overlay_findings(folder, _files_below(path.parent / folder), built_in)
    return tuple(place_finding(finding, document, str(path)) for finding in findings)


def _files_below(folder: Path) -> tuple[str, ...] | None:
    try:
        if not folder.is_dir():
            return None
    except OSError:  # a name that no file system takes
        return None
    return tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
