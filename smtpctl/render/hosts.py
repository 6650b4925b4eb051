"""Rendering of hosts: every layer of a host, its templates, programs and copies, as one desired state."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smtpctl.errors import TemplateError
from smtpctl.model.artifacts import Action, Check, DesiredHost, ManagedFile, Probe, Service
from smtpctl.model.fleet import Fleet
from smtpctl.model.fleet import Role as FleetRole
from smtpctl.model.secrets import ReadSecrets, Secrets
from smtpctl.render.context import Common, host_values
from smtpctl.render.postfix import override_parameters
from smtpctl.render.programs import build_zipapp, read_source
from smtpctl.render.roles import FileRule, Program, Role, layers_of
from smtpctl.render.templates import TemplateTree, template_root


def render_fleet(
    fleet: Fleet,
    secrets: Secrets,
    *,
    overlay: Path | None = None,
    hosts: Sequence[str] | None = None,
    cache: Path | None = None,
) -> dict[str, DesiredHost]:
    """Desired state of ``hosts`` (all by default), by name. Raise TemplateError or SecretsError.

    Compiled templates and roles are kept in the folder ``cache``, where one is given; they say nothing of any fleet.
    """
    tree = TemplateTree(template_root(), overlay, cache=cache)
    tree.add_filter("override", override_parameters)
    rendering = _Rendering(tree, Common(fleet, ReadSecrets(secrets)))
    return {name: _render_host(rendering, name) for name in hosts or fleet.hosts}


class _Rendering:
    """What all hosts of one rendering share: templates, values, and contents that are made once."""

    def __init__(self, tree: TemplateTree, common: Common) -> None:
        self.tree = tree
        self.common = common
        self.fleet = common.fleet
        self._programs: dict[str, bytes] = {}
        self._copies: dict[str, bytes] = {}
        self._rules: dict[tuple[str, str], tuple[int, FileRule]] = {}
        self._contents: dict[bytes, bytes] = {}

    def managed(self, layer: str, role: Role, path: str, content: bytes) -> ManagedFile:
        """The file at ``path`` with the mode, owner and secrecy that its layer says."""
        if (layer, path) not in self._rules:
            rule = next(
                (rule for pattern, rule in role.files.items() if fnmatch.fnmatchcase(path, pattern)), FileRule()
            )
            self._rules[layer, path] = int(rule.mode, 8), rule
        mode, rule = self._rules[layer, path]
        return ManagedFile(path, content, mode, rule.owner, rule.group, rule.secret)

    def shared(self, content: bytes) -> bytes:
        """``content``, in memory once however many hosts have it."""
        return self._contents.setdefault(content, content)

    def program(self, program: Program) -> bytes:
        if program.main not in self._programs:
            self._programs[program.main] = build_zipapp(program.main, program.packages)
        return self._programs[program.main]

    def copy(self, source: str) -> bytes:
        if source not in self._copies:
            self._copies[source] = read_source(source)
        return self._copies[source]


def _render_host(rendering: _Rendering, host: str) -> DesiredHost:
    fleet = rendering.fleet
    layers = layers_of(rendering.tree, tuple(fleet.hosts[host].roles))
    values = host_values(rendering.common, host, layers)
    files: dict[str, ManagedFile] = {}
    for layer, role in layers.items():
        for file in _files_of_layer(rendering, host, layer, role, values):
            if file.path in files:
                raise TemplateError(f"templates/{layer}: {file.path} is rendered by another layer of {host} too")
            files[file.path] = file
    expand = _Expander(fleet, host)
    own_roles = [role.value for role in fleet.hosts[host].roles]
    services = tuple(
        sorted(_services(layers, own_roles, files, expand), key=lambda service: (service.stage, service.unit))
    )
    running = {service.unit for service in services}
    return DesiredHost(
        host=host,
        files=files,
        packages=tuple(sorted({package for role in layers.values() for package in role.packages})),
        services=services,
        checks=tuple(_checks(layers, expand)),
        probes=tuple(_probes(layers, files, expand)),
        masked_units=tuple(sorted({unit for role in layers.values() for unit in role.masked} - running)),
        virtual_address=_virtual_address(fleet, host),
    )


class _Expander:
    """Fills ``{pool}``, ``{address}`` and ``{fqdn}`` in the texts of a role.yml."""

    def __init__(self, fleet: Fleet, host: str) -> None:
        self._pools = fleet.pools_of(host)
        self._fleet = fleet
        self._own = {"address": fleet.hosts[host].address, "fqdn": fleet.host_name(host)}

    def each(self, *texts: str) -> Iterator[dict[str, str]]:
        """Values to fill in: one set a pool when a text names the pool, else one set."""
        if not any("{pool" in text for text in texts):
            yield self._own
            return
        for pool in self._pools:
            yield self._own | {"pool": pool, "pool_port": str(self._fleet.pools[pool].port)}


def _fill(text: str, values: Mapping[str, str]) -> str:
    if "{" not in text:
        return text
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _files_of_layer(
    rendering: _Rendering, host: str, layer: str, role: Role, values: Mapping[str, Any]
) -> Iterator[ManagedFile]:
    secrets = rendering.common.secrets
    for template, target in rendering.tree.targets(layer):
        for extra in _repetitions(rendering.fleet, host, target):
            text = rendering.tree.render(template, {**values, **extra})
            noted = secrets.noted()
            if text.strip():
                file = rendering.managed(layer, role, _fill(target, extra), rendering.shared(text.encode()))
                if not file.secret:
                    _refuse_open_secrets(file.path, text, noted, secrets)
                yield file
    for path, program in role.programs.items():
        yield rendering.managed(layer, role, path, rendering.program(program))
    for path, source in role.copies.items():
        yield rendering.managed(layer, role, path, rendering.copy(source))


def _repetitions(fleet: Fleet, host: str, target: str) -> Iterator[dict[str, str]]:
    """Values of the placeholders in a path: one set for each file that the template becomes."""
    if "{pool}" in target:
        yield from ({"pool": pool} for pool in fleet.pools_of(host))
    elif "{domain}" in target:
        yield from ({"domain": domain} for domain in fleet.domains.sending)
    else:
        yield {}


def _virtual_address(fleet: Fleet, host: str) -> str:
    """The address that ``host`` may hold, without its prefix."""
    holds = FleetRole.BALANCER in fleet.hosts[host].roles
    return (fleet.balancing.virtual_address or "").partition("/")[0] if holds else ""


def _services(
    layers: Mapping[str, Role], own_roles: Sequence[str], files: Mapping[str, ManagedFile], expand: _Expander
) -> Iterator[Service]:
    for layer, role in layers.items():
        for rule in role.services:
            if rule.when is not None and rule.when not in files:
                continue
            for values in expand.each(rule.unit):
                triggers = [(_fill(path, values), Action.RESTART) for path in rule.restart]
                triggers += [(_fill(path, values), Action.RELOAD) for path in rule.reload]
                serves = tuple(name for name in own_roles if name in ([layer] if rule.serves is None else rule.serves))
                unit = _fill(rule.unit, values)
                yield Service(unit, rule.stage, tuple(triggers), rule.oneshot, serves, tuple(rule.packages))


def _checks(layers: Mapping[str, Role], expand: _Expander) -> Iterator[Check]:
    for role in layers.values():
        for rule in role.checks:
            for values in expand.each(*rule.command, *rule.paths):
                yield Check(
                    _fill(rule.name, values),
                    tuple(_fill(word, values) for word in rule.command),
                    tuple(_fill(path, values) for path in rule.paths),
                    tuple(rule.fatal),
                )


def _probes(layers: Mapping[str, Role], files: Mapping[str, ManagedFile], expand: _Expander) -> Iterator[Probe]:
    for role in layers.values():
        for rule in role.probes:
            if rule.when is not None and rule.when not in files:
                continue
            for values in expand.each(rule.name, rule.target):
                target = _fill(rule.target, values)
                yield Probe(_fill(rule.name, values), rule.kind, target, rule.expect, rule.deadline)


def _refuse_open_secrets(path: str, text: str, read: Collection[str], secrets: Secrets) -> None:
    """A secret in a file that is not declared secret is a mistake of a template: it would show in a diff.

    Only what was ``read`` while the file was rendered can be in it.
    """
    if any(not Secrets.is_public(name) for name in read) and secrets.mask(text) != text:
        raise TemplateError(
            f"{path} holds a secret but is not declared `secret: true`",
            hint="declare it under `files:` of the role.yml beside the template",
        )
