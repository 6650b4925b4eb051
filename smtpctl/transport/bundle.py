"""The agent as bytes: a deterministic zip archive, and the command line that starts it on a host.

A host that has had an apply keeps the agent unpacked and compiled; the command names it by hash and runs it from
there. Any other host asks for it, and runs it from memory: a plan leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
from functools import cache
from importlib import resources

from smtpctl.transport.agent import MARKER

PACKAGE = "smtpctl_agent"

#: Before the archive is known to be there nothing of ours can be imported, so this speaks the frames by hand.
_BOOTSTRAP = """
import os, sys
def read(count):
    data = b""
    while len(data) < count:
        chunk = os.read(0, count - len(data))
        if not chunk:
            sys.exit(70)
        data += chunk
    return data
def frame():
    return read(int.from_bytes(read(4), "big"))
first = frame()
archive = b""
place = "/var/lib/smtpctl/agents/" + sys.argv[3]
if not os.path.isdir(place):
    os.write(1, bytes(4))
    archive = frame()
    memory = os.memfd_create("smtpctl-agent")
    os.write(memory, archive)
    place = "/proc/self/fd/%d" % memory
sys.path.insert(0, place)
from smtpctl_agent import __main__ as agent, frames
agent.serve(sys.argv[3], archive, frames.unpack(first))
"""

_MAIN = f"import sys\nfrom {PACKAGE}.__main__ import main\nmain(sys.argv[1:])\n"


@cache
def archive() -> bytes:
    """The agent's folder as a zip archive; the same bytes for the same sources."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        _add(bundle, "__main__.py", _MAIN)
        folder = resources.files("smtpctl.transport.agent")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".py"):
                _add(bundle, f"{PACKAGE}/{entry.name}", entry.read_text(encoding="utf-8"))
    return buffer.getvalue()


def command(user: str, holder: str) -> str:
    """The command that starts the agent on a host, for the log-in ``user``; ``holder`` is whom a lock is shown for."""
    digest = hashlib.sha256(archive()).hexdigest()
    words = ["/usr/bin/python3", "-I", "-S", "-B", "-c", _BOOTSTRAP, MARKER, holder, digest]
    if user != "root":
        words = ["sudo", "-n", *words]
    return shlex.join(words)


def _add(bundle: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    bundle.writestr(entry, text)
