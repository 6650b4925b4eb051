"""The agent as bytes: a deterministic zip archive, and the command line that starts it on a host.

A host that has had an apply keeps the agent unpacked and compiled; the command names it by hash and runs it from
there. Any other host asks for it, and runs it from memory: a plan leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import threading
import zipfile
from functools import cache
from pathlib import Path

from smtpctl.transport import agent

PACKAGE = "smtpctl_agent"

#: A bootstrapped host keeps the loader here: the one command that the log-in user may run as root there.
FIXED_COMMAND = "/usr/local/sbin/smtpctl-agent"

#: Before the archive is known to be there nothing of ours can be imported, so this speaks the frames by hand. It takes
#: the agent from a folder that only root writes, or by the hash in its arguments, which sudo writes to the log.
_LOADER = """
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
marker, holder, digest = sys.argv[1:]
if len(digest) != 64 or digest.strip("0123456789abcdef"):
    sys.exit("smtpctl-agent: %r is not the hash of an agent" % digest)
os.chdir("/")
first = frame()
archive = b""
place = "/var/lib/smtpctl/agents/" + digest
if not os.path.isdir(place):
    os.write(1, bytes(4))
    archive = frame()
    import hashlib
    if hashlib.sha256(archive).hexdigest() != digest:
        sys.exit("smtpctl-agent: the agent that came is another one than " + digest)
    memory = os.memfd_create("smtpctl-agent")
    os.write(memory, archive)
    place = "/proc/self/fd/%d" % memory
sys.path.insert(0, place)
from smtpctl_agent import __main__ as agent, frames
agent.serve(holder, digest, archive, frames.unpack(first))
"""

_FIXED_COMMAND_HEAD = """#!/usr/bin/python3 -ISB
# Written by `smtpctl bootstrap`. Runs the smtpctl agent that a controller names by hash, or sends.
# Whoever may run this as root is root on this host, as everybody is who may run `smtpctl apply`.
"""

_packing = threading.Lock()

_MAIN = f"import sys\nfrom {PACKAGE}.__main__ import main\nmain(sys.argv[1:])\n"


def archive() -> bytes:
    """The agent's folder as a zip archive; the same bytes for the same sources."""
    with _packing:  # all connections of a run ask at the same time
        return _pack()


@cache
def _pack() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:  # packed once a run, sent once a host: compressing would take longer
        _add(bundle, "__main__.py", _MAIN)
        for path in sorted(Path(agent.__file__).parent.glob("*.py")):
            _add(bundle, f"{PACKAGE}/{path.name}", path.read_text(encoding="utf-8"))
    return buffer.getvalue()


def command(user: str, holder: str) -> str:
    """The command that starts the agent on a host, for the log-in ``user``; ``holder`` is whom a lock is shown for.

    Any other user than root has the fixed command of a bootstrapped host, or may sudo whatever he wants.
    """
    arguments = [agent.MARKER, holder, hashlib.sha256(archive()).hexdigest()]
    words = ["/usr/bin/python3", "-I", "-S", "-B", "-c", _LOADER, *arguments]
    if user == "root":
        return shlex.join(words)
    fixed, free = shlex.join([FIXED_COMMAND, *arguments]), shlex.join(words)
    return f"if test -x {FIXED_COMMAND}; then exec sudo -n {fixed}; else exec sudo -n {free}; fi"


def fixed_command() -> str:
    """The text of ``FIXED_COMMAND``."""
    return _FIXED_COMMAND_HEAD + _LOADER


def _add(bundle: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    bundle.writestr(entry, text)
