"""Desired state and plans as the agent's messages, and its answers as facts. Pure; no connection is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from smtpctl import __version__
from smtpctl.errors import HostError
from smtpctl.model.artifacts import Action, Check, DesiredHost, Probe, Service
from smtpctl.model.fleet import Role
from smtpctl.model.plans import FileFact, HostPlan, KeptFile, Kind, ObservedHost, OwnedFile, UnitFact, Upgrade
from smtpctl.model.records import HistoryEntry
from smtpctl.transport.agent import PROTOCOL, frames

#: What a unit serves that an earlier smtpctl recorded, which did not say: anything.
ANY_ROLE = tuple(role.value for role in Role)

#: Seconds within which the controller has to confirm what is live.
CONFIRM_SECONDS = 30.0


def observe(desired: DesiredHost, *, exclusive: bool) -> dict[str, Any]:
    """Ask for the facts that a plan towards ``desired`` needs."""
    return {
        "do": "observe",
        "protocol": PROTOCOL,
        "exclusive": exclusive,
        "address": desired.virtual_address,
        "files": {path: [file.sha256, file.secret] for path, file in desired.files.items()},
        "packages": list(desired.packages),
        "units": [*(service.unit for service in desired.services), *desired.masked_units],
    }


def observed(host: str, answer: frames.Message) -> ObservedHost:
    """The facts in an answer to ``observe``."""
    header = answer.header
    return ObservedHost(
        host=host,
        files={path: _file_fact(fact) for path, fact in header["files"].items()},
        contents=dict(zip(header["content_paths"], answer.blobs, strict=True)),
        owned={path: OwnedFile(**file) for path, file in header["owned"].items()},
        packages=header["packages"],
        units={unit: _unit_fact(fact) for unit, fact in header["units"].items()},
        owned_services=tuple(header["owned_services"]),
        owned_masks=tuple(header["owned_masks"]),
        revision=header["revision"],
        unfinished=header["unfinished"],
        written=header["written"],
        holds_address=header["holds_address"],
        paused=tuple(header["paused"]),
    )


def refuse_newer(host: str, answer: frames.Message) -> None:
    """Raise HostError where a newer release changed the host last: its files would be rendered back to older ones."""
    release = answer.header["release"]
    if release and _numbers(release) > _numbers(__version__):
        raise HostError(
            host,
            "version",
            f"smtpctl {release} changed this host last, and this is {__version__}",
            hint=f"upgrade smtpctl here to {release} or newer",
        )


def _numbers(release: str) -> tuple[int, ...]:
    """``1.10.2`` so that it compares with others; a part that is no number ends it."""
    return tuple(int(part) for part in takewhile(str.isdigit, release.split(".")))


def stage(plan: HostPlan) -> tuple[dict[str, Any], list[bytes]]:
    """Hand over what changes, for validation."""
    blobs = {
        change.after.sha256: change.after.content
        for change in plan.files
        if change.after and not isinstance(change.after, KeptFile)
    }
    request = {
        "do": "stage",
        "files": {change.path: _wanted(change.after) for change in plan.files},
        "packages": list(plan.packages),
        "upgrades": _versions(plan),
        "sysusers": list(plan.sysusers),
        "checks": [asdict(check) for check in plan.checks],
    }
    return request, list(blobs.values())


def commit(
    plan: HostPlan, desired: DesiredHost, *, who: str, kind: str, run: str, keep: int, confirm_seconds: float
) -> dict[str, Any]:
    """Make the staged state live; the host leads itself back unless that is confirmed in time."""
    return {
        "do": "commit",
        "keep": keep,
        "confirm_seconds": confirm_seconds,
        "record": record(plan, desired, who=who, kind=kind, run=run),
        "expected": {change.path: _fact(change.before) for change in plan.files if _must_stand(plan, change.before)},
        "services": [{"unit": service.unit, "oneshot": service.oneshot} for service in desired.services],
        "stop": list(plan.stop),
        "mask": list(plan.mask),
        "unmask": list(plan.unmask),
        "daemon_reload": plan.daemon_reload,
        "added": list(plan.packages),
        "upgrades": _versions(plan),
        "sysusers": list(plan.sysusers),
        "tmpfiles": list(plan.tmpfiles),
        "enable": list(plan.enable),
        "steps": [
            {"unit": step.unit, "stage": step.stage, "action": step.action, "oneshot": step.oneshot}
            for step in plan.steps
        ],
        "probes": [asdict(probe) for probe in plan.probes],
    }


def record(plan: HostPlan, desired: DesiredHost, *, who: str, kind: str, run: str) -> dict[str, Any]:
    """What the host remembers of this revision: everything that smtpctl owns there."""
    return {
        "revision": plan.revision,
        "release": __version__,
        "who": who,
        "kind": kind,
        "run": run,
        "files": {
            path: {
                "sha256": file.sha256,
                "mode": file.mode,
                "owner": file.owner,
                "group": file.group,
                "secret": file.secret,
            }
            for path, file in sorted(desired.files.items())
        },
        "services": [
            {
                "unit": s.unit,
                "stage": s.stage,
                "triggers": s.triggers,
                "oneshot": s.oneshot,
                "serves": s.serves,
                "packages": s.packages,
            }
            for s in desired.services
        ],
        "checks": [asdict(check) for check in desired.checks],
        "probes": [asdict(probe) for probe in desired.probes],
        "masks": list(desired.masked_units),
        "address": desired.virtual_address,
        "packages": list(desired.packages),
        "changed": [
            *([change.change, change.path] for change in plan.files),
            *(["upgrade", str(upgrade)] for upgrade in plan.upgrades),
        ],
    }


def upgradable(answer: frames.Message) -> tuple[Upgrade, ...]:
    """The newer versions in an answer to ``upgradable``."""
    return tuple(Upgrade(package, old, new) for package, old, new in answer.header["upgrades"])


def _versions(plan: HostPlan) -> dict[str, str]:
    return {upgrade.package: upgrade.new for upgrade in plan.upgrades}


def recalled(host: str, answer: frames.Message) -> DesiredHost:
    """A kept revision as a desired state. The host has the contents; those that differ came along, to be shown."""
    record = answer.header["record"]
    contents = dict(zip(answer.header["content_paths"], answer.blobs, strict=True))
    return DesiredHost(
        host=host,
        files={path: _kept(path, file, contents.get(path, b"")) for path, file in record["files"].items()},
        packages=tuple(record["packages"]),
        services=tuple(_service(service) for service in record["services"]),
        checks=tuple(_check(check) for check in record["checks"]),
        probes=tuple(Probe(**probe) for probe in record["probes"]),
        masked_units=tuple(record["masks"]),
        virtual_address=record.get("address", ""),
    )


def history(host: str, answer: frames.Message) -> tuple[HistoryEntry, ...]:
    """What a host remembers, oldest first."""
    return tuple(
        HistoryEntry(host=host, **{**entry, "changed": tuple((change, path) for change, path in entry["changed"])})
        for entry in answer.header["entries"]
    )


def _kept(path: str, file: Mapping[str, Any], content: bytes) -> KeptFile:
    return KeptFile(path, content, file["mode"], file["owner"], file["group"], file["secret"], file["sha256"])


def _service(service: Mapping[str, Any]) -> Service:
    triggers = tuple((pattern, Action(action)) for pattern, action in service["triggers"])
    serves = tuple(service.get("serves", ANY_ROLE))
    packages = tuple(service.get("packages", ()))
    return Service(service["unit"], service["stage"], triggers, service["oneshot"], serves, packages)


def _check(check: Mapping[str, Any]) -> Check:
    return Check(check["name"], tuple(check["command"]), tuple(check["paths"]), tuple(check["fatal_output"]))


def _must_stand(plan: HostPlan, before: FileFact) -> bool:
    """Whether the file must still be as observed. Packages bring files that were absent before."""
    return before.kind is not Kind.ABSENT or not plan.packages


def _wanted(file: Any) -> dict[str, Any]:
    if file is None:
        return {"kind": "absent"}
    return {"kind": "file", "sha256": file.sha256, "mode": file.mode, "owner": file.owner, "group": file.group}


def _unit_fact(fact: Mapping[str, Any]) -> UnitFact:
    return UnitFact(
        fact["load"], fact["active"], fact["sub"], fact["enabled"], fact["kind"], fact["remains"], fact["changed"]
    )


def _file_fact(fact: Mapping[str, Any]) -> FileFact:
    return FileFact(**{**fact, "kind": Kind(fact["kind"])})


def _fact(fact: FileFact) -> dict[str, Any]:
    """The agent's own form of a fact, which leaves out what a kind does not have."""
    if fact.kind is Kind.ABSENT:
        return {"kind": "absent"}
    if fact.kind is Kind.LINK:
        return {"kind": "link", "target": fact.target}
    members: dict[str, Any] = {"kind": fact.kind, "mode": fact.mode, "owner": fact.owner, "group": fact.group}
    if fact.kind is Kind.FILE:
        members["sha256"] = fact.sha256
    return members
