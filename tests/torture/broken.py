"""All deliberately broken changes of ``tests/broken/changes.yml`` on the lab's six hosts, one a round."""

from __future__ import annotations

import atexit
from functools import cache

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from tests.broken.cases import cases
from tests.broken.fleet import Trial
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl


def torture(seed: int) -> None:
    """Try the change that ``seed`` chooses: rounds count it up, so that as many as there are try each once."""
    table = cases()
    case = table[seed % len(table)]
    trial = fleet()
    with trial.applied.lab.entered():
        problems = trial.run(case)
        if problems:
            trial.apply(trial.sound, list(trial.sound))
    assert not problems, "\n  ".join([case.name, *problems])


@cache
def fleet() -> Trial:
    """The lab of $SMTPCTL_LAB_DIR, on its sound state; booted if it is down, and then taken down at the end."""
    lab = Lab()
    if lab.status() is None:
        lab.up()
        atexit.register(lab.down)
    smtpctl("secrets", "init", str(INVENTORY))
    smtpctl("lab", "dns")
    smtpctl("apply", str(INVENTORY), "--yes")
    applied = AppliedFleet(lab, load_fleet(INVENTORY), read_secrets(INVENTORY))
    with lab.entered():
        applied.wait_until_ready()
    return Trial.of(applied)
