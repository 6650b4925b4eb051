"""``role.yml``: what a folder of templates means to a host besides its files.

Every folder below ``templates/`` is a layer: ``base``, one a role, and shared ones that roles name under ``uses``. Its
``role.yml`` is read into the values here; text in it may hold ``{pool}``, which stands for each pool of the host, and
``{address}``, ``{fqdn}``, which stand for the host's own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from smtpctl import kept
from smtpctl.errors import TemplateError
from smtpctl.model.value import Value, field
from smtpctl.render.templates import TemplateTree

#: Who a firewall rule speaks of: everyone, the management networks, every host of the fleet, or the hosts of a role.
Party = Literal["anywhere", "management", "fleet", "balancer", "submission", "relay", "feedback", "mailbox", "control"]

MailRole = Literal["balancer", "submission", "relay", "feedback", "mailbox", "control"]


class FileRule(Value):
    """Mode, owner and secrecy of the files that a pattern names; what is left out is ``root:root 0644``, open."""

    mode: str = field(default="0644", pattern=r"^0[0-7]{3}$")
    owner: str = "root"
    group: str = "root"
    secret: bool = False


class Program(Value):
    """A zipapp of our own code: ``module:function`` and the packages that it needs."""

    main: str
    packages: list[str]


class ServiceRule(Value):
    """A unit, its stage, and which files make it reload or restart. ``when`` names a file without which it is not
    wanted on this host. ``serves``: the roles whose mail waits while it restarts; left out, the role of the folder.
    ``packages`` are patterns of the packages that it is a program of."""

    unit: str
    stage: int
    reload: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)
    oneshot: bool = False
    when: str | None = None
    serves: list[MailRole] | None = None
    packages: list[str] = field(default_factory=list)


class CheckRule(Value):
    """A server's own checker; see ``smtpctl.model.artifacts.Check``."""

    name: str
    command: list[str]
    paths: list[str]
    fatal: list[str] = field(default_factory=list)


class ProbeRule(Value):
    """A health check; see ``smtpctl.model.artifacts.Probe``."""

    name: str
    kind: Literal["tcp", "unix", "command"]
    target: str
    expect: str = ""
    deadline: float = 15.0
    when: str | None = None


class FirewallRule(Value):
    """Traffic that a role really needs. ``parties`` are sources for ``accept`` and destinations for ``connect``.

    ``ports`` may hold ``pools``: the ports of the fleet's pools and their health-check ports.
    """

    parties: list[Party]
    ports: list[int | Literal["pools"]] = field(default_factory=list)
    protocol: Literal["tcp", "udp", "vrrp"] = "tcp"
    user: str | None = None


class Role(Value):
    """The whole of one ``role.yml``."""

    description: str
    uses: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    files: dict[str, FileRule] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    services: list[ServiceRule] = field(default_factory=list)
    checks: list[CheckRule] = field(default_factory=list)
    probes: list[ProbeRule] = field(default_factory=list)
    accept: list[FirewallRule] = field(default_factory=list)
    connect: list[FirewallRule] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)


@lru_cache(maxsize=64)
def read_role(tree: TemplateTree, layer: str) -> Role:
    """The role of a layer. Raise TemplateError naming the file and the field when it is not as it should be."""
    path = f"{layer}/role.yml"
    text = tree.read(path)
    return kept.kept(tree.cache, f"{layer}.role", text.encode(), lambda: _parsed(path, text))


def _parsed(path: str, text: str) -> Role:
    import yaml  # with pydantic a third of a second, for files that hardly ever change
    from pydantic import TypeAdapter, ValidationError

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML has it: ten times as fast
    try:
        role: Role = TypeAdapter(Role).validate_python(yaml.load(text, loader))  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, ValidationError) as error:
        raise TemplateError(f"templates/{path}: {error}") from None
    return role


def layers_of(tree: TemplateTree, roles: tuple[str, ...]) -> dict[str, Role]:
    """Layers of a host in order: base, then shared ones, then its roles as the fleet lists them."""
    own = {role: read_role(tree, role) for role in roles}
    shared = dict.fromkeys(name for role in own.values() for name in role.uses)
    return {name: read_role(tree, name) for name in ("base", *shared)} | own
