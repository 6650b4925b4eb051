"""A host's rendered files as the rules see them: instances, balancers, listeners and sockets, each with its file."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.render.rules import dovecot_files, haproxy_files, postfix_files
from smtpctl.render.rules.haproxy_files import Balancer
from smtpctl.render.rules.postfix_files import Instance

#: Addresses that stand for every address of a host.
EVERYWHERE = ("", "*", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound

#: What a package's own configuration listens on, where nothing rendered says otherwise.
PACKAGE_PORTS = {"rspamd": (11332, 11333, 11334), "postgresql": (5432,), "unbound": (53,)}

_OPTION = re.compile(r"--(listen|metrics|readiness|socket|require)[ =](\S+)")
_LISTEN_ADDRESS = re.compile(r"--web\.listen-address=(\S+?):(\d+)\b")


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port that a file makes a server listen on. ``takes_proxy`` is None where that is not known."""

    address: str
    port: int
    path: str
    what: str
    takes_proxy: bool | None = None

    @property
    def everywhere(self) -> bool:
        return self.address in EVERYWHERE

    def answers(self, address: str, port: int) -> bool:
        return self.port == port and (self.everywhere or self.address == address)


@dataclass(frozen=True, slots=True)
class HostView:
    """Everything that the rules look at on one host."""

    host: str
    files: Mapping[str, ManagedFile]
    instances: tuple[Instance, ...]
    balancers: tuple[Balancer, ...]
    dovecots: Mapping[str, dovecot_files.Block]
    listeners: tuple[Listener, ...]
    #: Addresses that are this host's own, as far as its listeners name them.
    addresses: frozenset[str]
    #: Unix socket -> the file that makes a server listen on it.
    sockets: Mapping[str, str]
    #: Unix socket or address:port -> the file of one of our daemons that asks it.
    required: tuple[tuple[str, str], ...]
    packages: tuple[str, ...]

    def text(self, path: str) -> str:
        return self.files[path].content.decode("utf-8", "replace")

    def listens(self, address: str, port: int) -> Listener | None:
        return next((one for one in self.listeners if one.answers(address, port)), None)

    def answered(self, address: str, port: int) -> bool:
        """Whether something listens there, as far as rendered files and installed packages tell."""
        by_package = any(port in PACKAGE_PORTS.get(package, ()) for package in self.packages)
        return by_package or self.listens(address, port) is not None


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def view_of(desired: DesiredHost) -> HostView:
    """Read what the rules need out of the files of ``desired``."""
    texts = {path: file.content.decode("utf-8", "replace") for path, file in desired.files.items()}
    instances = tuple(_instances(texts))
    balancers = tuple(
        haproxy_files.read(path, text)
        for path, text in texts.items()
        if path.startswith("/etc/haproxy/") and path.endswith(".cfg")
    )
    dovecots = {path: dovecot_files.read(text) for path, text in texts.items() if path.endswith("/dovecot.conf")}
    units = {path: text for path, text in texts.items() if path.endswith(".service")}
    listeners = (
        *_postfix_listeners(instances),
        *_haproxy_listeners(balancers),
        *_dovecot_listeners(dovecots),
        *_other_listeners(texts, units),
    )
    return HostView(
        desired.host,
        desired.files,
        instances,
        balancers,
        dovecots,
        listeners,
        frozenset(one.address for one in listeners if not one.everywhere and not is_loopback(one.address)),
        dict(_sockets(texts, dovecots, units)),
        tuple(_required(units)),
        desired.packages,
    )


def _instances(texts: Mapping[str, str]) -> Iterator[Instance]:
    for path, text in texts.items():
        folder, _, name = path.rpartition("/")
        if name == "master.cf" and f"{folder}/main.cf" in texts:
            parameters = postfix_files.parameters(texts[f"{folder}/main.cf"])
            yield Instance(folder, parameters, postfix_files.services(text))


def _postfix_listeners(instances: tuple[Instance, ...]) -> Iterator[Listener]:
    for instance in instances:
        for service in instance.services:
            address, _, port = service.name.rpartition(":")
            if service.type == "inet" and port.isdigit():
                proxied = instance.value("smtpd_upstream_proxy_protocol", service) == "haproxy"
                what = f"Postfix's {service.command}"
                yield Listener(address.strip("[]"), int(port), instance.master, what, proxied)


def _haproxy_listeners(balancers: tuple[Balancer, ...]) -> Iterator[Listener]:
    for balancer in balancers:
        for section, bind in balancer.binds:
            address, _, port = bind.rpartition(":")
            if port.isdigit():
                yield Listener(address.strip("[]"), int(port), balancer.path, f"HAProxy's {section}")


def _dovecot_listeners(dovecots: Mapping[str, dovecot_files.Block]) -> Iterator[Listener]:
    for path, top in dovecots.items():
        for block in top.within("inet_listener"):
            port = block.settings.get("port", "")
            if port.isdigit() and int(port):
                for address in block.settings.get("listen", top.settings.get("listen", "*")).split(","):
                    proxied = block.settings.get("haproxy", "no") == "yes"
                    yield Listener(address.strip(), int(port), path, f"Dovecot's {block.label}", proxied)


def _other_listeners(texts: Mapping[str, str], units: Mapping[str, str]) -> Iterator[Listener]:
    for path, text in texts.items():
        if path.startswith("/etc/smtpctl/") and path.endswith(".json"):
            settings = _json(text)
            found = [settings.get("listen"), settings.get("metrics")]
            yield from (_listener(str(one), path) for one in found if one and ":" in str(one))
        for address, port in _LISTEN_ADDRESS.findall(text) if path.startswith("/etc/default/") else ():
            yield Listener(address.strip("[]"), int(port), path, path.rpartition("/")[2])
    for path, text in units.items():
        for option, value in _options(text):
            if option != "require" and "/" not in value:
                yield _listener(value.removeprefix("tcp:"), path)


def _listener(place: str, path: str) -> Listener:
    address, _, port = place.rpartition(":")
    return Listener(address.strip("[]"), int(port), path, path.rpartition("/")[2])


def _sockets(
    texts: Mapping[str, str], dovecots: Mapping[str, dovecot_files.Block], units: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for path, top in dovecots.items():
        base = top.settings.get("base_dir", "/run/dovecot")
        for block in top.within("unix_listener"):
            yield block.label if block.label.startswith("/") else f"{base}/{block.label}", path
    for path, text in texts.items():
        if path.startswith("/etc/opendkim/") and path.endswith(".conf"):
            for place in re.findall(r"^Socket\s+local:(\S+)", text, re.MULTILINE):
                yield place, path
    for path, text in units.items():
        for option, value in _options(text):
            if option in ("listen", "socket") and "/" in value:
                yield value.removeprefix("unix:"), path


def _required(units: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, text in units.items():
        for option, value in _options(text):
            if option == "require":
                kind, _, rest = value.partition(":")
                place = rest.rpartition(":")[0] if kind.endswith("-greeting") else rest
                yield place, path


def _options(unit: str) -> list[tuple[str, str]]:
    return _OPTION.findall(unit.replace("\\\n", " "))


def _json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
