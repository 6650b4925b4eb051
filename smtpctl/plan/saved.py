"""Plans that are kept for later: enough to tell whether a host is still where it was, and nothing that is secret."""

from __future__ import annotations

from smtpctl.model.plans import HostPlan, SavedPlan


def save(plan: HostPlan) -> SavedPlan:
    """What to keep of ``plan``."""
    return SavedPlan(plan.revision, plan.fingerprint, {change.path: change.before.sha256 for change in plan.files})


def moved(saved: SavedPlan, plan: HostPlan) -> str:
    """What has changed since ``saved`` was made; empty when an apply would do just what was shown then."""
    if saved.fingerprint == plan.fingerprint:
        return ""
    if saved.revision != plan.revision:
        return f"the inventory renders revision {plan.revision} now, not {saved.revision}"
    now = {change.path: change.before.sha256 for change in plan.files}
    paths = sorted(path for path in {*saved.files, *now} if saved.files.get(path) != now.get(path))
    return f"changed on the host: {', '.join(paths) or 'its packages, units or revision'}"
