"""A roll-out in words: the order of the hosts, and what gives way before each of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from smtpctl.model.plans import HostPlan, UnitAction
from smtpctl.model.rollouts import Drain, Rollout, Turn


def explain_rollout(rollout: Rollout, plans: Mapping[str, HostPlan]) -> tuple[str, ...]:
    """A line for each wave, and below it one for each thing that gives way; nothing where nothing changes."""
    lines = []
    waves = [[host for host in wave if not plans[host].empty] for wave in rollout.waves]
    for number, wave in enumerate((wave for wave in waves if wave), 1):
        lines.append(f"{number}. {', '.join(wave)}{_interruptions(wave, plans)}")
        for host in wave:
            lines += [f"   {words}" for words in explain_turn(rollout.turns[host])]
    return tuple(lines)


def explain_turn(turn: Turn) -> tuple[str, ...]:
    """What happens around the change of one host, in order; nothing where nobody notices the change."""
    lines = [f"{turn.host}: {words}" for words in turn.alone]
    if turn.move:
        lines.append(f"move {turn.move.address} from {turn.host} to {' or '.join(turn.move.to)}")
    lines += [f"drain {names} at {', '.join(places)}" for names, places in _places(turn.drains).items()]
    if turn.queues:
        lines.append(f"wait until {', '.join(f'postfix@{name}' for name in turn.queues)} on {turn.host} has handed on")
    return tuple(lines)


def _interruptions(wave: list[str], plans: Mapping[str, HostPlan]) -> str:
    """Whether units are restarted at all, which is what the lines below are about."""
    restarts = any(step.action is not UnitAction.RELOAD for host in wave for step in plans[host].steps)
    return "" if restarts else ": no restarts"


def _places(drains: tuple[Drain, ...]) -> dict[str, list[str]]:
    """Names of servers -> the hosts at which just these are drained."""
    places: dict[str, list[str]] = {}
    for drain in drains:
        places.setdefault(", ".join(server.name for server in drain.servers), []).append(drain.at)
    return places
