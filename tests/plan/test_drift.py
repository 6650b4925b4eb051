"""Drift: what smtpctl left, what is there, and what runs; each kind of finding alone, none where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smtpctl.model.artifacts import Action, DesiredHost, ManagedFile, Service
from smtpctl.model.plans import FileFact, Finding, FindingKind, Kind, ObservedHost, OwnedFile, UnitFact
from smtpctl.plan import findings
from tests.plan.conftest import sha256

PATH = "/etc/postfix-a/tls.pem"
UNIT = "postfix@a.service"
MASK = "postfix.service"

DESIRED = DesiredHost(
    "h1",
    {PATH: ManagedFile(PATH, b"certificate\n", secret=True)},
    (),
    (Service(UNIT, 30, ((PATH, Action.RELOAD),)),),
    (),
    (),
    (MASK,),
)
FILE = FileFact(Kind.FILE, sha256("certificate\n"), 0o644, "root", "root")
RUNNING = UnitFact("loaded", "active", "running", "enabled", "forking", False, changed=200.0)
MASKED = UnitFact(enabled="masked")

#: A host that is as smtpctl left it: its daemon reloaded at 200 what was written at 100.
SOUND = ObservedHost(
    "h1",
    files={PATH: FILE},
    owned={PATH: OwnedFile(FILE.sha256, 0o644, "root", "root", True)},
    units={UNIT: RUNNING, MASK: MASKED},
    owned_services=(UNIT,),
    owned_masks=(MASK,),
    revision=DESIRED.revision,
    written={PATH: 100.0},
)


def units(**facts: UnitFact) -> ObservedHost:
    """The sound host with another fact about its unit or its mask."""
    return replace(SOUND, units={UNIT: facts.get("unit", RUNNING), MASK: facts.get("mask", MASKED)})


def files(fact: FileFact) -> ObservedHost:
    return replace(SOUND, files={PATH: fact})


def test_a_host_that_is_as_it_was_left_has_not_drifted() -> None:
    assert findings(DESIRED, SOUND) == ()


@pytest.mark.parametrize(
    ("observed", "finding"),
    [
        (files(replace(FILE, sha256="0" * 64)), (FindingKind.EDITED, PATH, "was edited by hand")),
        (files(FileFact(Kind.LINK, target="/tmp/x")), (FindingKind.EDITED, PATH, "is a link now")),
        (files(FileFact()), (FindingKind.MISSING, PATH, "was removed")),
        (
            files(replace(FILE, mode=0o666, owner="daemon")),
            (FindingKind.ATTRIBUTES, PATH, "is 0666 daemon:root, not 0644 root:root"),
        ),
        (units(unit=replace(RUNNING, active="inactive")), (FindingKind.STOPPED, UNIT, "is inactive")),
        (units(unit=replace(RUNNING, active="failed")), (FindingKind.STOPPED, UNIT, "is failed")),
        (
            units(unit=replace(RUNNING, active="activating", sub="auto-restart")),
            (FindingKind.STOPPED, UNIT, "is activating"),
        ),
        (units(unit=replace(RUNNING, enabled="disabled")), (FindingKind.DISABLED, UNIT, "does not start at boot")),
        (units(mask=UnitFact(enabled="disabled")), (FindingKind.UNMASKED, MASK, "is not masked any more")),
        (replace(SOUND, written={PATH: 300.0}), (FindingKind.STALE, UNIT, f"runs on an older {PATH}")),
        (
            replace(SOUND, unfinished="begun by root@ctl"),
            (FindingKind.UNFINISHED, "", "an apply was interrupted: begun by root@ctl"),
        ),
        (
            replace(SOUND, revision="f" * 16),
            (FindingKind.PENDING, "", f"the inventory is ahead of revision {'f' * 16}: 0 files differ"),
        ),
    ],
)
def test_each_difference_is_one_finding(observed: ObservedHost, finding: tuple[FindingKind, str, str]) -> None:
    assert findings(DESIRED, observed) == (Finding(*finding),)


def test_a_host_on_which_smtpctl_has_never_been_is_only_pending() -> None:
    found = findings(DESIRED, ObservedHost("h1", files={PATH: FileFact()}))
    assert [(one.kind, one.detail) for one in found] == [(FindingKind.PENDING, "smtpctl has never been applied here")]
