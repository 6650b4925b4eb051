"""The interpreter that shipper and parser are measured on: the distribution's, as on hosts. Edge: a process.

pflogsumm runs on Debian's perl, and a shipper on Debian's python3, which is built with profile and link-time
optimisation; the one below .venv may be built without, and then takes a quarter longer for the same work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

_DISTRIBUTION = "/usr/bin/python3"


@cache
def interpreter() -> str:
    """The distribution's where it takes .venv's packages (psycopg is compiled for one version), else .venv's own."""
    own = sys.executable
    if not Path(_DISTRIBUTION).exists():
        return own
    tried = subprocess.run(
        [_DISTRIBUTION, "-c", "import sys, psycopg, prometheus_client, watchdog; print(*sys.version_info[:2])"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return _DISTRIBUTION if tried.stdout.split() == [str(part) for part in sys.version_info[:2]] else own


def environment() -> dict[str, str]:
    """With the packages of .venv."""
    return {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"]}
