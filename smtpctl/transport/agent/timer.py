"""Dead man's switches: transient timers of PID 1 that do what is owed unless somebody cancels them before they fire.

PID 1 owns them, so that they outlive the connection, sshd and the controller. The first of them leads this host back
unless its change is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import MARKER, StepError, processes

UNIT = "smtpctl-undo"


def arm(agent: Path, number: int, seconds: float) -> None:
    """Start the timer; it leads back the journal of this ``number``, and no later one."""
    command = ["/usr/bin/python3", "-I", "-S", "-B", str(agent), "undo", str(number), MARKER, "undo timer"]
    start(UNIT, seconds, "smtpctl: lead this host back unless its apply is confirmed", command)


def disarm() -> None:
    """Stop the timer. A timer that has just fired waits for our lock, and finds nothing left to do."""
    cancel(UNIT)


def start(unit: str, seconds: float, description: str, command: Sequence[str]) -> None:
    """Have PID 1 run ``command`` once, ``seconds`` from now, in place of what ``unit`` was to run before."""
    cancel(unit)
    timer = [f"--unit={unit}", f"--on-active={seconds:g}", "--timer-property=AccuracySec=100ms"]
    words = ["systemd-run", "--quiet", "--collect", *timer, f"--description={description}", *command]
    result = processes.run(words, timeout=30)
    if result.code:
        raise StepError("arm", f"systemd-run: {result.output.strip()}")


def cancel(unit: str) -> None:
    processes.run(["systemctl", "stop", f"{unit}.timer"], timeout=30)
