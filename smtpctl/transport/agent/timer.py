"""The dead man's switch: a transient timer of PID 1 that leads this host back unless somebody commits before it fires.

PID 1 owns it, so that it outlives the connection, sshd and the controller.
"""

from __future__ import annotations

from pathlib import Path

from . import MARKER, StepError, processes

UNIT = "smtpctl-undo"


def arm(agent: Path, number: int, seconds: float) -> None:
    """Start the timer; it leads back the journal of this ``number``, and no later one."""
    disarm()
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={UNIT}",
        f"--on-active={seconds:g}",
        "--timer-property=AccuracySec=100ms",
        "--description=smtpctl: lead this host back unless its apply is confirmed",
        "/usr/bin/python3",
        "-I",
        "-S",
        "-B",
        str(agent),
        "undo",
        str(number),
        MARKER,
        "undo timer",
    ]
    result = processes.run(command, timeout=30)
    if result.code:
        raise StepError("arm", f"systemd-run: {result.output.strip()}")


def disarm() -> None:
    """Stop the timer. A timer that has just fired waits for our lock, and finds nothing left to do."""
    processes.run(["systemctl", "stop", f"{UNIT}.timer"], timeout=30)
