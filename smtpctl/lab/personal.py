"""What makes a host itself: its names, keys, machine-id, address and resolver, put into its tree before it boots."""

from __future__ import annotations

import hashlib
from pathlib import Path

from smtpctl.lab.addresses import CONTROLLER_ADDRESS, INTERNET_ADDRESS, PREFIX
from smtpctl.lab.files import link, put
from smtpctl.lab.plan import Plan, PlannedHost
from smtpctl.lab.state import StateFolder

#: Brings up the host's one interface before anything of the network starts. The default route leads to the bridge,
#: where it ends: a packet for the world is refused at once, not lost.
NETWORK_UNIT = """\
[Unit]
Description=Address of this host in the lab
DefaultDependencies=no
Before=network-pre.target network.target sysinit.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip -batch /etc/lab/network
"""


def personalise(root: Path, host: PlannedHost, plan: Plan, state: StateFolder, extra: tuple[str, ...] = ()) -> None:
    """Write the files of ``host`` below ``root``. ``extra`` are further addresses of its interface."""
    put(root, "/etc/hostname", f"{host.full_name}\n")
    put(root, "/etc/machine-id", hashlib.md5(host.full_name.encode(), usedforsecurity=False).hexdigest() + "\n")
    put(root, "/etc/hosts", _hosts_file(plan))
    put(root, "/etc/lab/trust-anchor.key", state.trust_anchor.read_bytes())
    put(root, "/etc/lab/ca.pem", state.authority.read_bytes())
    put(root, "/etc/resolv.conf", f"nameserver {INTERNET_ADDRESS}\n")
    _ssh(root, host, state)
    put(root, "/etc/lab/network", _network_commands((host.address, *extra)))
    put(root, "/etc/systemd/system/lab-network.service", NETWORK_UNIT)
    link(root, "/etc/systemd/system/sysinit.target.wants/lab-network.service", "../lab-network.service")


def _network_commands(addresses: tuple[str, ...]) -> str:
    lines = ["link set host0 up", *(f"addr add {address}/{PREFIX} dev host0" for address in addresses)]
    return "\n".join([*lines, f"route add default via {CONTROLLER_ADDRESS}"]) + "\n"


def _ssh(root: Path, host: PlannedHost, state: StateFolder) -> None:
    key = state.host_key(host.name)
    put(root, "/etc/ssh/ssh_host_ed25519_key", key.read_bytes(), 0o600)
    put(root, "/etc/ssh/ssh_host_ed25519_key.pub", key.with_name(f"{host.name}.pub").read_bytes())
    put(root, "/root/.ssh/authorized_keys", state.identity.with_name("id_ed25519.pub").read_bytes(), 0o600)
    (root / "root/.ssh").chmod(0o700)


def _hosts_file(plan: Plan) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {name}.{plan.domain} {name}" for name, address in plan.addresses.items()]
    return "\n".join(lines) + "\n"
