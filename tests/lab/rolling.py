"""Changes of the lab's fleet that restart something on every host: a comment more in files that units restart for."""

from __future__ import annotations

import shutil
from pathlib import Path

from smtpctl.render import template_root
from tests.lab.support import INVENTORY

#: Templates whose change restarts what carries mail: every role is among them.
BALANCER = ("balancer/etc/default/haproxy.j2",)
SUBMISSION = (
    "submission/etc/systemd/system/dovecot@.service.j2",
    "submission/etc/systemd/system/haproxy@.service.j2",
    "submission/etc/systemd/system/opendkim@.service.j2",
    "submission/etc/systemd/system/smtpctl-policy.service.j2",
)
RELAY = ("relay/etc/systemd/system/smtpctl-routing.service.j2",)
CONTROL = ("control/etc/postgresql/17/main/conf.d/smtpctl.conf.j2",)
EVERY_POSTFIX = ("postfix/etc/systemd/system/postfix@.service.d/smtpctl.conf.j2",)
EVERYTHING = (*BALANCER, *SUBMISSION, *RELAY, *CONTROL, *EVERY_POSTFIX)


def inventory_with(folder: Path, templates: tuple[str, ...], words: str) -> Path:
    """The lab's inventory and secrets in ``folder``, with an overlay in which ``templates`` end with a comment."""
    for source in (INVENTORY, INVENTORY.with_suffix(".secrets.age")):
        shutil.copy(source, folder / source.name)
    for name in templates:
        target = folder / "overlay" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{(template_root() / name).read_text()}# {words}\n")
    inventory = folder / INVENTORY.name
    inventory.write_text(f"{inventory.read_text()}\ntemplates: overlay\n")
    return inventory
