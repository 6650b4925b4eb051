"""Interruptions of an apply on three hosts: the controller killed, a connection or the power cut, a disk full.

Each at a random moment of the seed; what has to hold after it is in ``tests/deploy/interruptions.py``.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path

from smtpctl.lab import Lab, StateFolder
from smtpctl.lab.image import images_folder
from tests.deploy.conftest import HOSTS, INVENTORY, RESET, Bench
from tests.deploy.interruptions import Interruption, Rounds


def torture(seed: int) -> None:
    """One interruption, and the apply that finishes the job."""
    interruption = Interruption.of(seed)
    tried = hosts()
    with tried.bench.lab.entered():
        problems = tried.run(interruption)
    assert not problems, "\n  ".join([str(interruption), *problems])


@cache
def hosts() -> Rounds:
    """Three hosts of this torture's own, which are taken down at the end."""
    os.environ.setdefault("SMTPCTL_LAB_IMAGES", str(images_folder(StateFolder.of_environment())))
    lab = Lab(StateFolder(Path(tempfile.mkdtemp(prefix="smtpctl-torture-", dir="/var/tmp"))))
    lab.up(INVENTORY)
    atexit.register(lab.down, wipe=True)
    for host in HOSTS:
        lab.run(host, ["sh", "-c", RESET])
    return Rounds(Bench(lab))
