"""A hand-made mail server: the lab's base image under an overlay, in namespaces of its own, with a server's files.

Nothing is booted: what `adopt` reads are files and what Postfix's own programs say of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smtpctl.lab import StateFolder
from smtpctl.lab.image import find_image
from smtpctl.transport import bundle

SERVERS = Path(__file__).parent / "servers"

_MACHINE = """
mount -t tmpfs tmpfs "$WORK" && cd "$WORK" && mkdir upper work root
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=upper,workdir=work" root
cp -r "$SERVER/." root/
mkdir root/new && cp -r "$FILES/." root/new/
cp "$AGENT" root/agent.zip
mount -t proc proc root/proc && mount --rbind /dev root/dev
ip link add eth0 type veth peer name other
ip link set eth0 addrgenmode none && ip link set other addrgenmode none
ip link set lo up && ip link set other up && ip link set eth0 up
chroot root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -eu /prepare >&2 </dev/null
exec chroot root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$COMMAND"
"""

_GATHER = """python3 -I -S -B -c '
import json, sys
sys.path.insert(0, "/agent.zip")
from smtpctl_agent import handmade
print(json.dumps(handmade.gather()))'"""


@dataclass(frozen=True)
class Look:
    """A server before and after: facts, and effective parameters by configuration directory."""

    facts: dict[str, Any]
    before: dict[str, dict[str, str]]
    after: dict[str, dict[str, str]]


def run(server: str, command: str, files: dict[str, bytes]) -> str:
    """What ``command`` prints on the server, with ``files`` in /new. Skips where there is no base image."""
    if os.geteuid():
        pytest.skip("namespaces and mounts need root")
    image = find_image(StateFolder.of_environment())
    if image is None:
        pytest.skip("there is no base image of the lab: smtpctl lab build")
    with tempfile.TemporaryDirectory(prefix="smtpctl-adopt-") as name:
        folder = Path(name)
        for path, content in files.items():
            target = folder / "files" / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (folder / "files").mkdir(exist_ok=True)
        (folder / "work").mkdir()
        (folder / "agent.zip").write_bytes(bundle.archive())
        environment = {
            **os.environ,
            "IMAGE": str(image),
            "SERVER": str(SERVERS / server),
            "FILES": str(folder / "files"),
            "WORK": str(folder / "work"),
            "AGENT": str(folder / "agent.zip"),
            "COMMAND": command,
        }
        result = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", _MACHINE],
            capture_output=True,
            text=True,
            env=environment,
        )
    assert result.returncode == 0, result.stderr
    return result.stdout


def gather(server: str) -> dict[str, Any]:
    """What the agent reads there."""
    facts: dict[str, Any] = json.loads(run(server, _GATHER, {}))
    return facts


def look(server: str, before: list[str], after: list[str], files: dict[str, bytes]) -> Look:
    """What the agent reads there; every parameter of the instances ``before``; and of those ``after``, once ``files``
    have taken their places."""
    command = f"{_GATHER}; {_postconf(before)}; cp -r /new/. /; {_postconf(after)}"
    facts, *said = run(server, command, files).split("#/", len(before) + len(after))
    instances = [_effective(text) for text in said]
    return Look(
        json.loads(facts),
        dict(zip(before, instances, strict=False)),
        dict(zip(after, instances[len(before) :], strict=True)),
    )


def _postconf(folders: list[str]) -> str:
    return "; ".join(f"echo '#{folder}'; postconf -c {folder} -x 2>/dev/null" for folder in folders)


def _effective(text: str) -> dict[str, str]:
    """Parameters with their values, however these are separated."""
    pairs = (line.partition("=") for line in text.splitlines()[1:])
    return {name.strip(): " ".join(re.split(r"[,\s]+", value.strip())) for name, _, value in pairs}
