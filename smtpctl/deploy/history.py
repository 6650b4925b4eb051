"""What hosts remember of earlier applies."""

from __future__ import annotations

from collections.abc import Mapping

from smtpctl.deploy.crew import crew
from smtpctl.deploy.visit import Visit
from smtpctl.errors import SmtpctlError
from smtpctl.model.records import HistoryEntry
from smtpctl.transport.connection import Target


def fleet_history(targets: Mapping[str, Target]) -> tuple[dict[str, tuple[HistoryEntry, ...]], list[SmtpctlError]]:
    """History of every host that can be reached, oldest first, and an error for each that cannot."""
    entries: dict[str, tuple[HistoryEntry, ...]] = {}

    def ask(visit: Visit) -> None:
        visit.connect()
        entries[visit.name] = visit.history()

    with crew(targets, lambda event: None) as run:
        run.each(ask, run.visits.values())
        errors = [visit.error for visit in run.visits.values() if visit.error is not None]
    return {name: entries[name] for name in targets if name in entries}, errors
