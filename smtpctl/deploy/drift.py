"""What has changed on hosts without smtpctl. Only looks."""

from __future__ import annotations

from collections.abc import Mapping

from smtpctl.deploy.apply import Desire
from smtpctl.deploy.crew import crew
from smtpctl.errors import SmtpctlError
from smtpctl.model.plans import Finding
from smtpctl.plan import findings
from smtpctl.transport.connection import Target


def fleet_drift(
    targets: Mapping[str, Target], desire: Desire
) -> tuple[dict[str, tuple[Finding, ...]], dict[str, SmtpctlError]]:
    """Findings on every host that can be observed, and an error for each that cannot."""
    with crew(targets, lambda event: None) as run:
        desire(run, lambda visit: visit.observe(exclusive=False))
        found = {
            visit.name: findings(visit.desired, visit.observed)
            for visit in run.whole()
            if visit.desired is not None and visit.observed is not None
        }
        return found, {visit.name: visit.error for visit in run.visits.values() if visit.error is not None}
