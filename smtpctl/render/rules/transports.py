"""Every transport that is named is a service of master.cf (transport(5)): mail for another one is deferred for days."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from smtpctl.model.faults import Fault
from smtpctl.render.rules.postfix_files import Instance
from smtpctl.render.rules.view import HostView

NAMING = ("default_transport", "relay_transport", "local_transport", "virtual_transport", "mailbox_transport")


def unknown(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Transports that main.cf, a transport table or the policy service names, and that the instance does not have."""
    for instance in view.instances:
        known = {service.name for service in instance.services if service.type == "unix"}
        for path, what, transport in (*_of_main(instance), *_of_table(view, instance), *_of_policy(view, instance)):
            if transport and transport not in known:
                yield Fault(
                    path,
                    f"{what} names the transport {transport}, which {instance.master} does not have",
                    f"add the service {transport} there, or name one of: {', '.join(sorted(known - _INTERNAL))}",
                )


#: Services that are no transports.
_INTERNAL = {
    *("pickup", "cleanup", "qmgr", "tlsmgr", "rewrite", "bounce", "defer", "trace", "verify", "flush", "proxymap"),
    *("proxywrite", "showq", "anvil", "scache", "postlog"),
}


def _of_main(instance: Instance) -> Iterator[tuple[str, str, str]]:
    for name in NAMING:
        if value := instance.value(name):
            yield instance.main, name, value.partition(":")[0]


def _of_table(view: HostView, instance: Instance) -> Iterator[tuple[str, str, str]]:
    path = f"{instance.folder}/transport"
    if path not in view.files:
        return
    for number, line in enumerate(view.text(path).splitlines(), start=1):
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            yield path, f"line {number}", value.strip().partition(":")[0]


def _of_policy(view: HostView, instance: Instance) -> Iterator[tuple[str, str, str]]:
    path = "/etc/smtpctl/policy.json"
    if instance.folder != "/etc/postfix-submission" or path not in view.files:
        return
    try:
        streams = json.loads(view.text(path)).get("streams", {})
    except ValueError:
        return  # sockets.unanswered says so
    for name, stream in streams.items():
        yield path, f"stream {name}", str(stream.get("filter", "")).partition(":")[0]
