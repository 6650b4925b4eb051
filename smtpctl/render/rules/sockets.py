"""Every socket that one side names is one that the other side makes, and the other way round."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from smtpctl.model.faults import Fault
from smtpctl.render.rules.postfix_files import Instance, MasterService
from smtpctl.render.rules.view import HostView, is_loopback

_UNIX = re.compile(r"\bunix:([^\s,;}:]+)")
_INET = re.compile(r"\binet:(\[[^\]]+\]|[^\s,;}:]+):(\d+)")


def unanswered(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Sockets that Postfix or one of our daemons asks, and that nobody on this host listens on."""
    for instance in view.instances:
        for path, name, place in _asked(instance):
            if place not in view.sockets and place not in _own(instance):
                yield Fault(path, f"{name} asks {place}, where nothing listens", _remedy(view, place))
        for path, name, address, port in _asked_by_address(instance):
            if _is_here(view, address) and not view.answered(address, port):
                yield Fault(
                    path,
                    f"{name} asks {address} port {port}, where nothing listens",
                    "give both sides the same port",
                )
    for place, path in view.required:
        if not _answered(view, place):
            yield Fault(path, f"asks {place}, where nothing listens", _remedy(view, place))
    yield from _unanswered_filters(view)


def unasked(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Sockets that are made for an instance of Postfix, in its queue directory, and that it does not ask."""
    for instance in view.instances:
        asked = {place for _, _, place in _asked(instance)}
        for place, path in view.sockets.items():
            if place.startswith(f"{instance.queue}/") and place not in asked:
                yield Fault(
                    instance.main,
                    f"does not ask {place}, which {path} makes for it",
                    "name the socket in main.cf, or take its server away",
                )


def _asked(instance: Instance) -> Iterator[tuple[str, str, str]]:
    """File, parameter and absolute path of each Unix socket that an instance asks."""
    for path, name, value, service in instance.settings():
        places = _UNIX.findall(value)
        if name == "smtpd_sasl_path" and instance.value("smtpd_sasl_type", service) == "dovecot":
            places = [value.removeprefix("unix:")] if not value.startswith("inet:") else []
        for place in places:
            yield path, name, _absolute(instance, place, service)


def _absolute(instance: Instance, place: str, service: MasterService | None) -> str:
    """Where a socket is: below the queue directory, also for an absolute path under chroot."""
    chroot = service.chroot if service else _chrooted(instance)
    if place.startswith(instance.queue) and not chroot:
        return place
    return f"{instance.queue}/{place.lstrip('/')}" if chroot or not place.startswith("/") else place


def _chrooted(instance: Instance) -> bool:
    return any(service.chroot for service in instance.services if service.command == "smtpd")


def _asked_by_address(instance: Instance) -> Iterator[tuple[str, str, str, int]]:
    for path, name, value, _ in instance.settings():
        for address, port in _INET.findall(value):
            yield path, name, address.strip("[]"), int(port)


def _own(instance: Instance) -> set[str]:
    """Sockets of the instance's own services."""
    return {
        f"{instance.queue}/{folder}/{service.name}"
        for service in instance.services
        if service.type == "unix"
        for folder in ("private", "public")
    }


def _answered(view: HostView, place: str) -> bool:
    if place.startswith("/"):
        return place in view.sockets
    address, _, port = place.rpartition(":")
    return not port.isdigit() or view.answered(address.strip("[]"), int(port))


def _unanswered_filters(view: HostView) -> Iterator[Fault]:
    """The way to a pool, as the policy service answers it (``FILTER transport:[address]:port``)."""
    path = "/etc/smtpctl/policy.json"
    if path not in view.files:
        return
    try:
        streams = json.loads(view.text(path)).get("streams", {})
    except ValueError:
        yield Fault(path, "is not JSON", "leave its template as smtpctl ships it")
        return
    for name, stream in streams.items():
        _, _, place = str(stream.get("filter", "")).partition(":")
        if place and not _answered(view, place):
            yield Fault(
                path,
                f"stream {name} goes to {place}, where nothing listens",
                "give HAProxy's submission.cfg a `listen` section with that port",
            )


def _is_here(view: HostView, address: str) -> bool:
    return is_loopback(address) or address in view.addresses


def _remedy(view: HostView, place: str) -> str:
    name = place.rpartition("/")[2]
    alike = [other for other in view.sockets if other.rpartition("/")[2] == name]
    near = alike or [other for other in view.sockets if other.rpartition("/")[0] == place.rpartition("/")[0]]
    if near:
        return f"name the socket that is there: {near[0]} ({view.sockets[near[0]]})"
    return "give both sides the same socket"
