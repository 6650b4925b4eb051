"""The whole fleet restarts, host after host, under 20 messages a second: no session refused or cut, every accepted
message at the provider exactly once.

A round is one change of all six hosts that restarts what carries mail on each; which units those are, and how the
change is made, follows from the seed. It runs on the lab that is up, or on one that it boots and takes down.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from tests.lab import rolling
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl
from tests.lab.traffic import SteadyMail

#: Restarted in every round, so that each host has something that carries mail to restart.
ALWAYS = (*rolling.CONTROL, *rolling.EVERY_POSTFIX)

#: Some of these on top, by lot.
SOMETIMES = (*rolling.BALANCER, *rolling.SUBMISSION, *rolling.RELAY)


def torture(seed: int) -> None:
    """One round: a change of all hosts that follows from ``seed``. Raise AssertionError with all that went wrong."""
    lot = random.Random(seed)
    chosen = (*ALWAYS, *lot.sample(SOMETIMES, lot.randrange(1, len(SOMETIMES) + 1)))
    with _applied() as applied:
        problems = _round(applied, chosen, f"seed {seed}")
    assert not problems, "\n".join([f"after a change of {', '.join(chosen)}", *problems])


def _round(applied: AppliedFleet, templates: tuple[str, ...], words: str) -> list[str]:
    mail = SteadyMail(applied)
    with tempfile.TemporaryDirectory(prefix="smtpctl-rolling-") as folder:
        inventory = rolling.inventory_with(Path(folder), templates, words)
        began = time.monotonic()
        with applied.lab.entered(), mail.flowing():
            answer = smtpctl("apply", str(inventory), "--yes", check=False)
    taken = f"{len(mail.accepted)} messages in {time.monotonic() - began:.0f} s, slowest session {mail.slowest:.1f} s"
    print(f"rolling: {taken}, {mail.late} sessions not begun", file=sys.stderr, flush=True)
    changed = [line.split()[0] for line in answer.stdout.splitlines() if "applied" in line.split()]
    problems = [f"apply: {answer.stderr}"] if answer.returncode else []
    problems += [f"{host} was not changed" for host in applied.fleet.hosts if host not in changed]
    problems += [line for line in answer.stderr.splitlines() if "cut" in line or "go on after" in line]
    problems += [f"session failed {failure}" for failure in mail.failed]
    copies = mail.copies()
    problems += [f"lost: {identity}" for identity in mail.accepted if identity not in copies]
    problems += [f"delivered {number} times: {identity}" for identity, number in copies.items() if number != 1]
    if mail.late > len(mail.accepted) // 10:
        problems.append(f"this machine is too slow for the rate: {mail.late} sessions were not begun")
    return problems


@contextmanager
def _applied() -> Iterator[AppliedFleet]:
    lab = Lab()
    booted = lab.up() if lab.status() is None else False
    try:
        smtpctl("secrets", "init", str(INVENTORY))
        smtpctl("lab", "dns")
        smtpctl("apply", str(INVENTORY), "--yes")
        applied = AppliedFleet(lab, load_fleet(INVENTORY), read_secrets(INVENTORY))
        with lab.entered():
            applied.wait_until_ready()
        yield applied
    finally:
        if booted:
            lab.down()
