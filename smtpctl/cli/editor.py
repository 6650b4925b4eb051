"""Let a person change secret texts in an editor, in a file that never reaches a disk.

The file lies in a folder of one's own on a tmpfs; without one, editing is refused. Swap is the machine's own business:
who edits secrets on a machine with unencrypted swap should use ``secrets set``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from smtpctl.errors import SecretsError

#: What keeps an editor from leaving pieces of the text in the home directory: swap files, registers, histories.
_DISCREET = {"vim": ["-n", "-i", "NONE"], "nvim": ["-n", "-i", "NONE"]}

_HEADER = """\
# The secrets of {inventory}. Verifiers and public keys follow what is changed here; certificates are made by
# smtpctl itself and are not shown. A removed line removes the secret; an unchanged file changes nothing.
"""


def edit(values: Mapping[str, str], inventory: Path) -> dict[str, str]:
    """Given values, return them as the person's editor left them. Raise SecretsError if the editor fails or the text
    cannot be read; the error never repeats a piece of it."""
    with tempfile.TemporaryDirectory(dir=_memory_folder(), prefix="smtpctl-") as folder:
        file = Path(folder) / "secrets.yml"
        file.touch(mode=0o600)
        file.write_text(_HEADER.format(inventory=inventory) + dump(values), encoding="utf-8")
        _run_editor(file)
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise SecretsError("the edited text is not UTF-8; nothing was changed") from None
    return parse(text)


def dump(values: Mapping[str, str]) -> str:
    """Values as YAML: keys and other texts of several lines as blocks."""
    if not values:
        return ""
    return yaml.dump(dict(values), Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=10**9)


def parse(text: str) -> dict[str, str]:
    """Given YAML, return its names and values, every scalar as the text that stands there. Raise SecretsError with the
    line, and only the line, of what is wrong."""
    node, problem = _composed(text)
    if problem:
        raise SecretsError(problem)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise SecretsError("the edited text is not a list of NAME: VALUE lines; nothing was changed")
    values: dict[str, str] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise SecretsError(f"line {line} of the edited text is not NAME: VALUE; nothing was changed")
        if key.value in values:
            raise SecretsError(f"line {line} of the edited text repeats the name {key.value!r}; nothing was changed")
        values[key.value] = value.value
    return values


def _composed(text: str) -> tuple[yaml.Node | None, str]:
    """The document's node, or what is wrong: the parser's own error quotes the text around it."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader), ""
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1} of " if error.problem_mark else ""
        return None, f"{line}the edited text is not YAML; nothing was changed"
    except yaml.YAMLError:
        return None, "the edited text is not YAML; nothing was changed"


def _run_editor(file: Path) -> None:
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    discreet = _DISCREET.get(Path(command[0]).name, [])
    try:
        result = subprocess.run(
            [*command, *discreet, str(file)], check=False, env={**os.environ, "TMPDIR": str(file.parent)}
        )
    except OSError as error:
        raise SecretsError(f"cannot start the editor {command[0]!r}: {error.strerror}", hint="set EDITOR") from None
    if result.returncode:
        raise SecretsError(f"the editor {command[0]!r} ended with status {result.returncode}; nothing was changed")


def _memory_folder() -> Path:
    """A folder in memory: the session's own, else the machine's."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    in_memory = {fields[1] for fields in mounts if fields[2] == "tmpfs"}
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108 (a folder of our own is made in it)
        if folder and folder in in_memory and os.access(folder, os.W_OK):
            return Path(folder)
    raise SecretsError(
        "no folder in memory to edit in: neither XDG_RUNTIME_DIR nor /dev/shm is a tmpfs",
        hint="change single secrets: smtpctl secrets set INVENTORY NAME",
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they stand."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
