"""The rules over rendered files, held against the clock: what stops a run before any host has taken in a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from smtpctl.errors import HostError
from smtpctl.model.artifacts import DesiredHost


def rule_errors(desired: Mapping[str, DesiredHost]) -> dict[str, HostError]:
    """An error for each host whose rendered files contradict each other or those of another host."""
    from smtpctl.render.rules import faults  # certificates and keys: a run that changes nothing needs neither

    found = faults(desired, datetime.now(UTC))
    return {host: HostError(host, "rules", "\n".join(str(fault) for fault in some)) for host, some in found.items()}
