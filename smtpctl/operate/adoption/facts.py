"""What a host told of its Postfix (smtpctl/transport/agent/handmade.py), as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A look-up table: where it lies, its rows as far as they were told, and why not all of them were."""

    table: str
    rows: tuple[tuple[str, str], ...]
    unread: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One Postfix instance. ``parameters`` are those that main.cf sets, with what they refer to filled in."""

    directory: str
    parameters: Mapping[str, str]
    settled: Mapping[str, str]
    #: (name, type, process limit, command) of each line of master.cf.
    services: tuple[tuple[str, str, str, str], ...]
    #: (service, type, parameter, value) of each ``-o``.
    overrides: tuple[tuple[str, str, str, str], ...]
    tables: Mapping[str, tuple[Table, ...]]
    waiting: int
    #: Names in main.cf that mean nothing to Postfix.
    unused: tuple[str, ...]

    @property
    def name(self) -> str:
        """What stands after ``postfix-``; nothing for the primary instance."""
        return self.directory.rpartition("/")[2].removeprefix("postfix").lstrip("-")

    def override(self, service: str, parameter: str) -> str | None:
        """A parameter of one way out, as its service has it."""
        for name, kind, other, value in self.overrides:
            if (name, kind, other) == (service, "unix", parameter):
                return value
        return self.parameters.get(parameter)

    def rows(self, parameter: str) -> Iterator[tuple[str, str]]:
        """Rows of all tables of a parameter."""
        for table in self.tables.get(parameter, ()):
            yield from table.rows


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key."""

    domain: str
    selector: str
    file: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Server:
    """One host, as it was found."""

    managed: bool
    #: (interface, address, prefix length)
    addresses: tuple[tuple[str, str, int], ...]
    instances: tuple[Instance, ...]
    sasl: Mapping[str, Any]
    keys: tuple[Key, ...]
    certificates: tuple[Mapping[str, Any], ...]
    #: Postfix's own defaults there.
    defaults: Mapping[str, str] = field(repr=False)
    #: Folders of instances that do not run, or that no instance is known of.
    idle: tuple[str, ...]

    @property
    def primary(self) -> Instance:
        """The instance of /etc/postfix."""
        return self.instances[0]


def server_of(told: Mapping[str, Any]) -> Server:
    """What the agent told."""
    return Server(
        managed=told["managed"],
        addresses=tuple((entry["interface"], entry["address"], entry["prefix"]) for entry in told["addresses"]),
        instances=tuple(_instance(instance) for instance in told["instances"] if instance["enabled"]),
        sasl=told["sasl"],
        keys=tuple(Key(**key) for key in told["dkim"]["keys"]),
        certificates=tuple(told["certificates"]),
        defaults=told["defaults"],
        idle=(*(one["directory"] for one in told["instances"] if not one["enabled"]), *told["unknown"]),
    )


def _instance(told: Mapping[str, Any]) -> Instance:
    return Instance(
        directory=told["directory"],
        parameters={name: value for name, value in told["parameters"].items() if name != "config_directory"},
        settled=told["settled"],
        services=tuple((s["name"], s["type"], s["limit"], s["command"]) for s in told["services"]),
        overrides=tuple((service, kind, name, value) for service, kind, name, value in told["overrides"]),
        tables={
            parameter: tuple(
                Table(table["table"], tuple((key, value) for key, value in table["rows"]), table["unread"])
                for table in tables
            )
            for parameter, tables in told["tables"].items()
        },
        waiting=told["waiting"],
        unused=tuple(told["unused"]),
    )
