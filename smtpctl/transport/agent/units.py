"""systemd units: enabled, masked, started, reloaded, stopped; one call for as many as go together."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from . import StepError, facts, processes

#: The longest that one systemctl may take; systemd's own start and stop time-outs (90 s) end before.
TIMEOUT = 120

RUNNING = ("active", "reloading", "activating", "skipped")

#: How long a unit has to stay up after it was started before that counts: daemons also die of their first work.
SETTLE = 5.0


def daemon_reload() -> None:
    _systemctl("reload units", "daemon-reload")


def enable(units: Sequence[str]) -> None:
    """Like all that changes links only: systemd knows of it after ``daemon_reload``, which is needed once for all."""
    _systemctl("enable", "--no-reload enable", *units)


def disable(units: Sequence[str]) -> None:
    _systemctl("disable", "--no-reload disable", *units)


def mask(units: Sequence[str]) -> None:
    """Mask ``units``. Running ones are stopped first: a masked unit that runs still holds its ports."""
    running = [unit for unit, fact in facts.unit_facts(units).items() if is_running(fact)]
    if running:
        _systemctl("mask", "stop", *running)
    _systemctl("mask", "--no-reload mask", *units)


def unmask(units: Sequence[str]) -> None:
    _systemctl("unmask", "--no-reload unmask", *units)


def stop(units: Sequence[str], *, wait: bool = True) -> None:
    _systemctl("stop", "stop" if wait else "stop --no-block", *units)


def forget_failures(units: Sequence[str]) -> None:
    """Those of ``units`` that failed count as stopped again: systemd keeps a failed unit even when its file is gone."""
    broken = [unit for unit, fact in facts.unit_facts(units).items() if fact["active"] == "failed"]
    _systemctl("reset-failed", "reset-failed", *broken)


def act(action: str, units: Sequence[str], *, never_ran: Collection[str] = ()) -> None:
    """Start, restart or reload ``units``. Counters of earlier failures are cleared: they would refuse a start. Those
    that ``never_ran`` have none."""
    if not units:
        return
    counted = [unit for unit in units if unit not in never_ran]
    if action != "reload" and counted:
        # Fails on a unit that is not loaded yet, which has no counter to clear.
        processes.run(["systemctl", "reset-failed", "--", *counted], timeout=TIMEOUT)
    result = processes.run(["systemctl", action, "--", *units], timeout=TIMEOUT)
    if result.code:
        raise StepError(f"{action} {' '.join(units)}", f"{result.output.strip()}\n{explain(units)}".strip())


def failed(units: Sequence[str], oneshot: Sequence[str] = ()) -> list[str]:
    """Those of ``units`` that do not run now. A one-shot unit fails only by failing."""
    states = facts.unit_facts(units)
    return [
        unit
        for unit, fact in states.items()
        if fact["active"] == "failed" or (unit not in oneshot and not is_running(fact))
    ]


def is_running(fact: Mapping[str, Any]) -> bool:
    """A unit that waits between two crashes is "activating", and does not run."""
    return fact["active"] in RUNNING and fact["sub"] != "auto-restart"


def watch(units: Sequence[str], since: float) -> list[str]:
    """Those of ``units`` that did not stay up until ``SETTLE`` seconds after ``since`` (monotonic).

    systemd gives each start of a unit its own invocation id, so that one that died and came back is seen, too.
    """
    if not units:
        return []
    began = facts.unit_facts(units)
    time.sleep(max(0.0, since + SETTLE - time.monotonic()))
    ended = facts.unit_facts(units)
    return [unit for unit in began if ended[unit]["invocation"] != began[unit]["invocation"]]


def booting() -> bool:
    """Whether this host has not finished its boot, so that units come up by themselves."""
    state = processes.run(["systemctl", "is-system-running"], timeout=20).output.strip()
    return state in ("initializing", "starting")


def explain(units: Sequence[str]) -> str:
    """The last words of those of ``units`` that failed, from the journal."""
    words = []
    for unit in failed(units) or units:
        command = ["journalctl", "--unit", unit, "--lines", "12", "--no-pager", "--output", "cat", "--quiet"]
        words.append(f"{unit}:\n{processes.run(command, timeout=20).output.strip()}")
    return "\n".join(words)


def _systemctl(step: str, verb: str, *units: str) -> None:
    if not units and verb != "daemon-reload":
        return
    result = processes.run(["systemctl", *verb.split(), *(["--", *units] if units else [])], timeout=TIMEOUT)
    if result.code:
        raise StepError(step, f"systemctl {verb} {' '.join(units)}: {result.output.strip()}")
