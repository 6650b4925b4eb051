"""Plan files: what ``plan --out`` keeps and ``apply FILE`` holds a fleet to. They hold hashes, and no content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from smtpctl.errors import UsageError
from smtpctl.model.frozen import Frozen

if TYPE_CHECKING:
    from smtpctl.model.plans import HostPlan, SavedPlan

VERSION = 1


class PlanFile(Frozen):
    """Plans of hosts, and the inventory that they were made from."""

    inventory: Path
    hosts: Mapping[str, SavedPlan]


def write_plans(out: Path, inventory: Path, plans: Mapping[str, HostPlan]) -> None:
    """Keep ``plans`` in ``out``, readable by its owner only: it names every file that changes."""
    from smtpctl.plan import save

    document = {
        "smtpctl-plan": VERSION,
        "inventory": str(inventory.absolute()),
        "hosts": {name: asdict(save(plan)) for name, plan in plans.items()},
    }
    out.touch(mode=0o600)
    out.write_text(json.dumps(document, indent=2) + "\n")


def read_plans(path: Path) -> PlanFile | None:
    """The plans in ``path``; None where it is no plan file. Raise UsageError for one of another version."""
    if not path.read_bytes()[:64].lstrip().startswith(b'{\n  "smtpctl-plan"'):
        return None
    from smtpctl.model.plans import SavedPlan

    document = json.loads(path.read_text())
    if document["smtpctl-plan"] != VERSION:
        raise UsageError(
            f"{path} is a plan of version {document['smtpctl-plan']}, not {VERSION}", hint="make it again: smtpctl plan"
        )
    return PlanFile(Path(document["inventory"]), {name: SavedPlan(**plan) for name, plan in document["hosts"].items()})
