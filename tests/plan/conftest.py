"""Cases as data: a YAML file each holds what is desired, what was observed, and the steps that must come out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpctl.model.artifacts import Action, Check, DesiredHost, ManagedFile, Probe, Service
from smtpctl.model.plans import FileFact, Kind, ObservedHost, OwnedFile, UnitFact

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))


class Case:
    """One data file. Files are given by content; hashes are made here."""

    def __init__(self, path: Path) -> None:
        self.document: dict[str, Any] = yaml.safe_load(path.read_text())

    @property
    def desired(self) -> DesiredHost:
        wanted: Mapping[str, Any] = self.document["desired"]
        return DesiredHost(
            host="h1",
            files={path: _managed(path, value) for path, value in wanted.get("files", {}).items()},
            packages=tuple(wanted.get("packages", ())),
            services=tuple(_service(value) for value in wanted.get("services", ())),
            checks=tuple(Check(name, ("true",), tuple(paths)) for name, paths in wanted.get("checks", {}).items()),
            probes=tuple(Probe(name, "command", "true") for name in wanted.get("probes", ())),
            masked_units=tuple(wanted.get("masked", ())),
        )

    @property
    def observed(self) -> ObservedHost:
        found: Mapping[str, Any] = self.document["observed"]
        files: Mapping[str, Any] = found.get("files", {})
        return ObservedHost(
            host="h1",
            files={path: _fact(value) for path, value in files.items()},
            contents={path: value["content"].encode() for path, value in files.items() if "content" in value},
            owned={path: _owned(value) for path, value in found.get("owned", {}).items()},
            packages=dict.fromkeys(found.get("packages", ()), "1"),
            units={unit: UnitFact(**fact) for unit, fact in found.get("units", {}).items()},
            owned_services=tuple(found.get("owned_services", ())),
            owned_masks=tuple(found.get("owned_masks", ())),
            revision=self.desired.revision if found.get("revision") == "wanted" else found.get("revision", ""),
            unfinished=found.get("unfinished", ""),
        )


@pytest.fixture(params=CASES, ids=[path.stem for path in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _managed(path: str, value: Mapping[str, Any]) -> ManagedFile:
    return ManagedFile(
        path,
        value["content"].encode(),
        value.get("mode", 0o644),
        value.get("owner", "root"),
        value.get("group", "root"),
        value.get("secret", False),
    )


def _fact(value: Mapping[str, Any]) -> FileFact:
    if "target" in value:
        return FileFact(Kind.LINK, target=value["target"])
    if "content" not in value:
        return FileFact(Kind(value["kind"]))
    return FileFact(
        Kind.FILE,
        sha256(value["content"]),
        value.get("mode", 0o644),
        value.get("owner", "root"),
        value.get("group", "root"),
    )


def _owned(value: Mapping[str, Any]) -> OwnedFile:
    return OwnedFile(sha256(value["content"]), value.get("mode", 0o644), "root", "root", value.get("secret", False))


def _service(value: Mapping[str, Any]) -> Service:
    triggers = tuple((pattern, Action(action)) for pattern, action in value.get("triggers", {}).items())
    return Service(value["unit"], value["stage"], triggers, value.get("oneshot", False))
