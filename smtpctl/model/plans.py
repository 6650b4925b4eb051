"""What was observed on a host, and the plan that leads from there to what is desired. Plain values; nothing here acts.

The agent on a host reports facts; ``smtpctl.plan`` compares them with a ``DesiredHost``; ``smtpctl.deploy`` carries the
result out. A plan is complete: what it does not name is not touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from smtpctl.model.artifacts import Check, ManagedFile, Probe
from smtpctl.model.frozen import Frozen

#: Answers of ``systemctl is-enabled`` after which a unit starts at boot, or cannot be enabled and need not be.
ENABLED_STATES = frozenset({"enabled", "enabled-runtime", "static", "generated", "indirect", "alias", "linked"})


class Kind(StrEnum):
    """What stands at a path."""

    FILE = "file"
    LINK = "link"
    DIRECTORY = "directory"
    OTHER = "other"
    ABSENT = "absent"


class FileFact(Frozen):
    """What stands at one path of a host. ``target`` is where a symbolic link points."""

    kind: Kind = Kind.ABSENT
    sha256: str = ""
    mode: int = 0
    owner: str = ""
    group: str = ""
    target: str = ""


class OwnedFile(Frozen):
    """A file as the last committed revision of a host recorded it: smtpctl wrote it, so smtpctl may remove it."""

    sha256: str
    mode: int
    owner: str
    group: str
    secret: bool = False


class KeptFile(ManagedFile):
    """A file of a kept revision: the host has its content under its hash; here it is known only where it is shown."""

    kept: str = ""

    @property
    def sha256(self) -> str:
        return self.kept


class UnitFact(Frozen):
    """A systemd unit as the host's manager sees it. ``changed`` is when it last started, reloaded or stopped."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    kind: str = ""
    remains: bool = False
    changed: float = 0.0

    @property
    def running(self) -> bool:
        """Active or about to be; a unit that waits between two crashes (``auto-restart``) is neither."""
        return self.active in ("active", "reloading", "activating", "skipped") and self.sub != "auto-restart"

    @property
    def starts_at_boot(self) -> bool:
        return self.enabled in ENABLED_STATES

    @property
    def masked(self) -> bool:
        return self.enabled in ("masked", "masked-runtime")


class ObservedHost(Frozen):
    """The facts about one host that a plan needs.

    ``files`` has an entry for every path that was asked for and for every owned one. ``contents`` holds the bytes of
    those that differ from what is desired, never of secret ones. ``revision`` is empty on a host that smtpctl has
    never changed. ``unfinished`` describes an interrupted apply that the next one undoes first. ``written`` says when
    each owned file came to stand where it does. ``holds_address`` says that the virtual address is here.
    """

    host: str
    files: Mapping[str, FileFact]
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    owned: Mapping[str, OwnedFile] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, UnitFact] = field(default_factory=dict)
    owned_services: tuple[str, ...] = ()
    owned_masks: tuple[str, ...] = ()
    revision: str = ""
    unfinished: str = ""
    written: Mapping[str, float] = field(default_factory=dict)
    holds_address: bool = False
    #: What somebody has paused by hand, and is in force (`smtpctl pause`).
    paused: tuple[Mapping[str, Any], ...] = ()


class Change(StrEnum):
    """What happens to a file."""

    CREATE = "create"
    CHANGE = "change"
    ATTRIBUTES = "attributes"
    REMOVE = "remove"


class FileChange(Frozen):
    """One file that differs. ``after`` is None where the file goes away; ``edited`` says that somebody changed it by
    hand since smtpctl wrote it; ``foreign`` that smtpctl never wrote what stands there."""

    path: str
    change: Change
    before: FileFact
    after: ManagedFile | None
    diff: str = field(default="", repr=False)
    edited: bool = False
    foreign: bool = False


class FindingKind(StrEnum):
    """How a host has drifted from what smtpctl left there; and, last, what smtpctl has not brought there yet."""

    EDITED = "edited"
    MISSING = "missing"
    ATTRIBUTES = "attributes"
    STOPPED = "stopped"
    DISABLED = "disabled"
    UNMASKED = "unmasked"
    STALE = "stale"
    UNFINISHED = "unfinished"
    PENDING = "pending"


class Finding(Frozen):
    """One difference that nobody planned. ``subject`` is a path or unit; ``detail`` says it in words."""

    kind: FindingKind
    subject: str
    detail: str


class SavedPlan(Frozen):
    """What is kept of a host's plan in a file: what it was made from and what it leads to, by hash; no content."""

    revision: str
    fingerprint: str
    files: Mapping[str, str]


class UnitAction(StrEnum):
    """What is done to a unit. The order is the order of precedence: a restart makes a reload needless."""

    RELOAD = "reload"
    RESTART = "restart"
    START = "start"


class UnitStep(Frozen):
    """One action on one unit, with the reasons for it."""

    unit: str
    stage: int
    action: UnitAction
    reasons: tuple[str, ...]
    oneshot: bool = False
    serves: tuple[str, ...] = ()


class Upgrade(Frozen):
    """A newer version of an installed package, as the host's own repositories offer it."""

    package: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.package} {self.old} → {self.new}"


class HostPlan(Frozen):
    """Everything that an apply does on one host, in the order in which it is done; ``effects`` says in words what the
    changed files mean."""

    host: str
    revision: str
    observed_revision: str
    packages: tuple[str, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()
    files: tuple[FileChange, ...] = ()
    effects: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    stop: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    unmask: tuple[str, ...] = ()
    daemon_reload: bool = False
    sysusers: tuple[str, ...] = ()
    tmpfiles: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    steps: tuple[UnitStep, ...] = ()
    probes: tuple[Probe, ...] = ()
    risks_access: bool = False
    unfinished: str = ""
    holds_address: bool = False
    paused: tuple[Mapping[str, Any], ...] = ()
    #: Mail that waits where the plan would leave it behind, in words: an apply refuses then.
    stranded: tuple[str, ...] = ()

    @property
    def unrecorded(self) -> bool:
        """The host knows itself by another revision than the desired one: where nothing differs, somebody else brought
        it there, or the difference is one that asks for nothing. A host that smtpctl never changed knows none."""
        return bool(self.observed_revision) and self.observed_revision != self.revision

    @property
    def empty(self) -> bool:
        """Nothing differs, nothing has to be undone first, and the host knows itself by this revision."""
        return not (
            self.packages
            or self.upgrades
            or self.files
            or self.stop
            or self.mask
            or self.unmask
            or self.enable
            or self.steps
            or self.unfinished
            or self.unrecorded
        )

    @property
    def edited(self) -> tuple[str, ...]:
        """Paths that somebody changed by hand since smtpctl wrote them."""
        return tuple(change.path for change in self.files if change.edited)

    @property
    def fingerprint(self) -> str:
        """Names this very plan: the same differences from the same state give the same 16 digits."""
        content = [
            [self.host, self.revision, self.observed_revision, self.unfinished],
            [list(self.packages), list(self.stop), list(self.mask), list(self.unmask), list(self.enable)],
            [[change.path, change.change, change.before.sha256, change.before.mode] for change in self.files],
            [[change.after.sha256 if change.after else ""] for change in self.files],
            [[step.unit, step.action] for step in self.steps],
            [str(upgrade) for upgrade in self.upgrades],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
