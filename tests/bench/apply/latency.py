"""Round trips of a plan and of an apply on one host: by how much a slow line makes them slower. Edge."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from smtpctl.deploy.apply import Settings, apply_fleet, plan_fleet, rendered
from smtpctl.errors import SmtpctlError
from smtpctl.model.artifacts import DesiredHost
from smtpctl.transport.connection import Target
from tests.bench.apply.relay import relay
from tests.bench.apply.stage import Stage

#: Long enough that what else takes time is lost in rounding.
ROUND_TRIP = 0.4


def round_trips(stage: Stage, host: str) -> tuple[float, float]:
    """Round trips of a plan that finds nothing, and of an apply of one line, connections included."""
    apply_line(stage, host, 0.0)
    return (
        _more(lambda delay: _through(stage, host, delay, _plan)),
        _more(lambda delay: apply_line(stage, host, delay)),
    )


def apply_line(stage: Stage, host: str, delay: float) -> float:
    """Seconds of an apply that changes one line."""
    stage.change_a_line()
    return _through(stage, host, delay, _apply)


def _more(seconds: Callable[[float], float]) -> float:
    return (seconds(ROUND_TRIP) - seconds(0.0)) / ROUND_TRIP


def _through(stage: Stage, host: str, delay: float, work: Callable[[Target, DesiredHost], None]) -> float:
    """Seconds of ``work`` over a relay that holds everything back by ``delay`` a round trip."""
    state, address = stage.state, stage.lab.addresses[host]
    with stage.lab.entered(), relay(address, 22, delay) as port:
        known_hosts = stage.folder / "relay.known_hosts"
        known_hosts.write_text(_known(state.known_hosts, address, port))
        target = Target(host, "127.0.0.1", port, "root", known_hosts, state.identity)
        desired = stage.rendered()[host]
        began = time.perf_counter()
        work(target, desired)
        return time.perf_counter() - began


def _plan(target: Target, desired: DesiredHost) -> None:
    plans, errors = plan_fleet({target.host: target}, rendered(lambda: {target.host: desired}), lambda event: None)
    if errors or not plans[target.host].empty:
        raise SmtpctlError(f"there is something to change: {errors or plans[target.host].effects}")


def _apply(target: Target, desired: DesiredHost) -> None:
    results = apply_fleet(
        {target.host: target},
        rendered(lambda: {target.host: desired}),
        Settings(order=lambda plans: [list(plans)]),
        lambda event: None,
        lambda plans: True,
        lambda text: text,
    )
    if results[0].outcome != "applied":
        raise SmtpctlError(f"{results[0].outcome}: {results[0].detail}")


def _known(known_hosts: Path, address: str, port: int) -> str:
    """The host's keys, under the place where the relay listens."""
    lines = [line.split() for line in known_hosts.read_text().splitlines()]
    return "".join(
        f"[127.0.0.1]:{port} {kind} {key}\n" for names, kind, key, *_ in lines if address in names.split(",")
    )
