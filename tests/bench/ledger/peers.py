"""The peer that summarises logs: pflogsumm, unpacked into ``.bench/ledger`` from Debian's package. Edge."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
HOME = ROOT / ".bench" / "ledger"
PROGRAM = HOME / "debian" / "usr" / "sbin" / "pflogsumm"
_PERL_LIBRARIES = HOME / "debian" / "usr" / "share" / "perl5"


def prepare() -> str:
    """Bring pflogsumm here, once. Return why it cannot be had, or nothing."""
    if PROGRAM.exists():
        return ""
    HOME.mkdir(parents=True, exist_ok=True)
    packages = ["pflogsumm", "libdate-calc-perl", "libdate-calc-xs-perl", "libbit-vector-perl", "libcarp-clan-perl"]
    try:
        subprocess.run(["apt-get", "download", *packages], cwd=HOME, check=True, capture_output=True, timeout=120)
        for package in HOME.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, HOME / "debian"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"pflogsumm: {error}"
    return "" if PROGRAM.exists() else "pflogsumm: the package holds no such program"


def pflogsumm(log: Path) -> tuple[float, int]:
    """CPU seconds of its summary of a log, and the delivery attempts that it counted as delivered."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    libraries = [_PERL_LIBRARIES, *(HOME / "debian" / "usr" / "lib").glob("*/perl5/*")]
    include = [f"-I{path}" for path in libraries]
    done = subprocess.run(["perl", *include, PROGRAM, log], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = next((line.split() for line in done.stdout.splitlines() if line.strip().endswith("delivered")), ["0"])
    count = words[0].replace("k", "000").replace("m", "000000")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(count)
