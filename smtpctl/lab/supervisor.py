"""The lab's process tree: ``python -m smtpctl.lab.supervisor STATE``. Started by ``Lab.up``, never by hand.

Two processes. The *keeper* stays in this machine's namespaces: it makes the lab's cgroup, forks, and when its child
ends removes the empty cgroup folders. The child is *PID 1 of the lab*, in new mount, network, PID, IPC, UTS and cgroup
namespaces; bridge, overlays and hosts are made inside them. When PID 1 dies, however it dies, the kernel ends every
process in its PID namespace, and with the last of them drops every mount, interface and address. Nothing is ever made
in the machine's own mount table, network or PID space, so nothing can be left there.

PID 1 listens to signals: SIGHUP starts the hosts whose power button was pressed (a file beside their disk); SIGTERM
ends the lab. A host that reboots comes back by itself; one that goes off stays off.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from smtpctl.lab import linux
from smtpctl.lab.addresses import CONTROLLER_ADDRESS, INTERNET, PREFIX
from smtpctl.lab.internet.install import install
from smtpctl.lab.internet.providers import PROVIDERS
from smtpctl.lab.personal import personalise
from smtpctl.lab.plan import Plan, PlannedHost
from smtpctl.lab.state import Record, StateFolder

BRIDGE = "br0"
CGROUPS = Path("/sys/fs/cgroup")
#: Exit status of a systemd-nspawn under --keep-unit whose host asked for a reboot.
REBOOT = 133
NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP
#: What keeper and PID 1 tell each other: it is in its cgroup; the network exists and can be entered.
JOINED, READY = b"j", b"r"
SIGNALS = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}


def main() -> None:
    """Start a keeper and end with status 0 as soon as its lab can be entered, with 1 when it never will."""
    state = StateFolder(Path(sys.argv[1]))
    plan = Plan.from_json(state.plan.read_text())
    heard, told = os.pipe()
    if os.fork() == 0:
        os.close(heard)
        os.setsid()
        keep(state, plan, told)
        sys.exit(0)
    os.close(told)
    sys.exit(0 if os.read(heard, 1) == READY else 1)


def keep(state: StateFolder, plan: Plan, told: int) -> None:
    """Keep one lab until its PID 1 ends. Write READY to ``told`` when the lab is on record."""
    cgroup = linux.own_cgroup() / state.name
    cgroup.mkdir()
    linux.unshare(linux.CLONE_NEWPID)
    mine, its = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        mine.close()
        os.close(told)
        _be_first_process(Supervisor(state, plan), its)
    its.close()
    (cgroup / "cgroup.procs").write_text(str(pid))
    mine.sendall(JOINED)
    if mine.recv(1) == READY:
        state.write_record(Record(pid, linux.start_time(pid), str(cgroup), plan.addresses, plan.inventory))
        os.write(told, READY)
    os.close(told)
    os.waitpid(pid, 0)
    linux.kill_cgroup(cgroup)


def _be_first_process(supervisor: Supervisor, keeper: socket.socket) -> NoReturn:
    """Once in the lab's cgroup, leave the machine's namespaces, make the lab and run it until it ends."""
    linux.die_with_parent()
    if keeper.recv(1) != JOINED:
        sys.exit("the keeper ended before the lab began")
    linux.unshare(NAMESPACES)
    supervisor.make_world()
    keeper.sendall(READY)
    supervisor.run()
    sys.exit(0)


class Supervisor:
    """PID 1 of the lab: makes the network and the hosts' trees, and starts one systemd-nspawn a host."""

    def __init__(self, state: StateFolder, plan: Plan) -> None:
        self.state = state
        self.plan = plan
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Boot everything, then answer signals until SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # the last one has most to start
        for host in reversed(self.plan.hosts):
            self.make_tree(host)
            self.start(host)
        while True:
            received = signal.sigwait(SIGNALS)
            if received == signal.SIGTERM:
                return
            if received == signal.SIGCHLD:
                self.reap()
            else:
                self.start_asked_for()

    def make_world(self) -> None:
        """Private /proc, /sys, /run and cgroup tree, and the bridge.

        The cgroup namespace's root is the lab's own cgroup; with cgroup v2 alone on /sys/fs/cgroup the hosts see a
        pure v2 system, which Debian 13's systemd needs, on any machine. A private /run hides this machine's
        systemd-machined and D-Bus.
        """
        _command("mount", "--make-rprivate", "/")
        _command("mount", "-t", "proc", "proc", "/proc")
        _command("mount", "-t", "sysfs", "sysfs", "/sys")
        _command("mount", "-t", "cgroup2", "cgroup2", str(CGROUPS))
        _command("mount", "-t", "tmpfs", "tmpfs", "/run")
        _command("ip", "link", "set", "lo", "up")
        _command("ip", "link", "add", BRIDGE, "type", "bridge")
        _command("ip", "addr", "add", f"{CONTROLLER_ADDRESS}/{PREFIX}", "dev", BRIDGE)
        _command("ip", "link", "set", BRIDGE, "up")

    def make_tree(self, host: PlannedHost) -> None:
        """Mount the host's overlay over the image and make the host itself. ``volatile``: no fsync to the disk."""
        root = self.state.host_root(host.name)
        folder = root.parent
        for part in ("root", "upper", "work"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={self.plan.image},upperdir={folder}/upper,workdir={folder}/work,volatile,xino=off"
        _command("mount", "-t", "overlay", host.name, "-o", options, str(root))
        if host.name == INTERNET:
            personalise(root, host, self.plan, self.state, extra=tuple(provider.address for provider in PROVIDERS))
            install(root, self.state)
        else:
            personalise(root, host, self.plan, self.state)

    def start(self, host: PlannedHost) -> None:
        """Boot ``host`` in a cgroup of its own."""
        cgroup = CGROUPS / host.name
        cgroup.mkdir(exist_ok=True)

        def join_cgroup() -> None:
            (cgroup / "cgroup.procs").write_text("0")
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

        with self.state.console(host.name).open("ab") as console:
            self.running[host.name] = subprocess.Popen(
                self.nspawn(host),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=join_cgroup,
            )

    def nspawn(self, host: PlannedHost) -> list[str]:
        """The command that boots ``host``.

        --network-veth, not --network-namespace-path: with the latter the host would see the parent's sysfs.
        """
        return [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--boot",
            f"--directory={self.state.host_root(host.name)}",
            f"--machine={host.name}",
            "--network-veth",
            f"--network-bridge={BRIDGE}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
            # the zone file is the controller's to write
            *([f"--bind-ro={self.state.zones}:/srv/zones"] if host.name == INTERNET else []),
        ]

    def start_asked_for(self) -> None:
        """Start every host whose power button was pressed; one that runs is left alone."""
        for host in self.plan.hosts:
            button = self.state.power_button(host.name)
            if button.exists():
                button.unlink()
                if host.name in self.running and not linux.is_populated(CGROUPS / host.name):
                    # its process has left its cgroup, which is a moment before it can be collected
                    self.ended(host, self.running[host.name].wait())
                if host.name not in self.running:
                    self.empty_if_asked_for(host)
                    self.start(host)

    def empty_if_asked_for(self, host: PlannedHost) -> None:
        """Give a host that is off a disk as after its installation."""
        wish = self.state.empty_disk(host.name)
        if not wish.exists():
            return
        wish.unlink()
        root = self.state.host_root(host.name)
        _command("umount", "--lazy", str(root))
        for part in ("upper", "work"):
            shutil.rmtree(root.parent / part)
        self.make_tree(host)

    def reap(self) -> None:
        """Collect ended children: hosts that are gone, and orphans, whose parent is PID 1."""
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            for host in self.plan.hosts:
                if (process := self.running.get(host.name)) is not None and process.pid == pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    self.ended(host, process.returncode)

    def ended(self, host: PlannedHost, status: int) -> None:
        """``host`` is gone: boot it again when it asked for a reboot, else leave it off."""
        del self.running[host.name]
        if status == REBOOT:
            self.start(host)


def _command(*argv: str) -> None:
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(argv)}: status {result.returncode}: {result.stderr.strip()}")


if __name__ == "__main__":
    main()
