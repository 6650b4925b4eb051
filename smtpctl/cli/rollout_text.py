"""How the order of a run looks: on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from smtpctl.model.plans import HostPlan
from smtpctl.model.rollouts import Rollout
from smtpctl.plan import explain_rollout, explain_turn


def show_rollout(rollout: Rollout, plans: Mapping[str, HostPlan]) -> None:
    """The waves, and what gives way before each host; nothing where nothing changes."""
    lines = explain_rollout(rollout, plans)
    if lines:
        click.echo("\nOne after the other:")
        for line in lines:
            click.echo(f"  {line}")


def rollout_document(rollout: Rollout, plans: Mapping[str, HostPlan]) -> list[list[dict[str, Any]]]:
    """Waves of hosts that change, each with its turn."""
    waves = [[host for host in wave if not plans[host].empty] for wave in rollout.waves]
    return [
        [{**asdict(rollout.turns[host]), "words": explain_turn(rollout.turns[host])} for host in wave]
        for wave in waves
        if wave
    ]
