"""main.cf and master.cf as values, as far as the rules need them (postconf(5), master(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))")


@dataclass(frozen=True, slots=True)
class MasterService:
    """One service of master.cf."""

    name: str
    type: str
    chroot: bool
    command: str
    overrides: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Instance:
    """One Postfix instance: the folder of its files, and what stands in them."""

    folder: str
    parameters: Mapping[str, str]
    services: tuple[MasterService, ...]

    @property
    def main(self) -> str:
        return f"{self.folder}/main.cf"

    @property
    def master(self) -> str:
        return f"{self.folder}/master.cf"

    @property
    def queue(self) -> str:
        return self.value("queue_directory") or "/var/spool/postfix"

    def value(self, name: str, service: MasterService | None = None) -> str:
        """A parameter with references to others filled in, as ``service`` sees it; empty when nothing sets it."""
        return self.expanded(self._raw(name, service), service)

    def expanded(self, text: str, service: MasterService | None = None, depth: int = 0) -> str:
        if depth > 9:
            return text

        def fill(match: re.Match[str]) -> str:
            name = next(group for group in match.groups() if group)
            raw = self._raw(name, service)
            return self.expanded(raw, service, depth + 1) if raw else match.group()

        return _REFERENCE.sub(fill, text)

    def settings(self) -> Iterator[tuple[str, str, str, MasterService | None]]:
        """Everything that is set: the file, the name, the value, and the service that overrides it."""
        for name in self.parameters:
            yield self.main, name, self.value(name), None
        for service in self.services:
            for name, value in service.overrides.items():
                yield self.master, name, self.expanded(value, service), service

    def _raw(self, name: str, service: MasterService | None) -> str:
        if service is not None and name in service.overrides:
            return service.overrides[name]
        return self.parameters.get(name, "")


def parameters(text: str) -> dict[str, str]:
    """The parameters of a main.cf; the last of two wins."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def services(text: str) -> tuple[MasterService, ...]:
    """The services of a master.cf."""
    return tuple(
        service for line in _logical_lines(text) if len(words := line.split()) >= 8 for service in [_service(words)]
    )


def _service(words: list[str]) -> MasterService:
    overrides: dict[str, str] = {}
    rest = iter(words[8:])
    for word in rest:
        if word == "-o":
            name, _, value = next(rest, "").partition("=")
            overrides[name] = value
    return MasterService(words[0], words[1], words[4] != "n", words[7], overrides)


def _logical_lines(text: str) -> Iterator[str]:
    """Lines with those that continue them; comments and empty lines do not end one."""
    current = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[:1].isspace():
            current = f"{current} {line.strip()}"
            continue
        if current:
            yield current
        current = line.strip()
    if current:
        yield current
