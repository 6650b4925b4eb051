"""Three bare hosts of the tests' own, which they break, and applies on them as the command line would do them.

The lab is booted from the shared base image with its own state folder. The fixtures, ``own_lab`` and ``bench``, stand
in ``tests/conftest.py``: tests of the transport use the same hosts.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from smtpctl.deploy.apply import Settings, apply_fleet, before_last_run, kept, plan_fleet, rendered
from smtpctl.lab import Lab, StateFolder
from smtpctl.lab.image import images_folder
from smtpctl.model.artifacts import Action, Check, DesiredHost, ManagedFile, Probe, Service
from smtpctl.model.plans import HostPlan
from smtpctl.model.records import Event, HostResult, OnFailure, Outcome
from smtpctl.transport.connection import Target

INVENTORY = Path(__file__).with_name("hosts.yml")
HOSTS = ("edge1", "relay1", "relay2")

#: Leaves no trace of smtpctl on a host, whatever a test did there.
RESET = r"""
systemctl stop smtpctl-undo.timer smtpctl-undo.service 2>/dev/null
systemctl disable -q --now haproxy.service trial.service 2>/dev/null
systemctl unmask -q postfix.service
systemctl disable -q smtpctl-recover.service 2>/dev/null
nft flush ruleset
rm -rf /var/lib/smtpctl /etc/trial /etc/systemd/system/trial.service /etc/systemd/system/smtpctl-recover.service
rm -f /etc/sysusers.d/trial.conf /etc/tmpfiles.d/trial.conf /etc/nftables.conf
printf 'defaults\n' > /etc/haproxy/haproxy.cfg
systemctl daemon-reload
systemctl reset-failed
true
"""

HAPROXY = """\
global
  log /dev/log local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen trial
  bind 127.0.0.1:{port}
  server sshd 127.0.0.1:22
"""


def file(path: str, content: str, *, mode: int = 0o644, group: str = "root", secret: bool = False) -> ManagedFile:
    return ManagedFile(path, content.encode(), mode, "root", group, secret)


def haproxy(port: int = 8080, *, extra: str = "") -> ManagedFile:
    return file("/etc/haproxy/haproxy.cfg", HAPROXY.format(port=port) + extra)


HAPROXY_SERVICE = Service("haproxy.service", 40, (("/etc/haproxy/*", Action.RELOAD),))
HAPROXY_CHECK = Check("haproxy", ("haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"), ("/etc/haproxy/*",))


def greets(port: int = 8080, *, deadline: float = 5.0) -> Probe:
    return Probe(f"port {port}", "tcp", f"127.0.0.1:{port}", "SSH-2.0", deadline)


def desired(
    host: str,
    *files: ManagedFile,
    services: Sequence[Service] = (HAPROXY_SERVICE,),
    probes: Sequence[Probe] = (),
    packages: Sequence[str] = ("haproxy",),
    masked: Sequence[str] = (),
) -> DesiredHost:
    return DesiredHost(
        host,
        {file.path: file for file in files},
        tuple(packages),
        tuple(services),
        (HAPROXY_CHECK,),
        tuple(probes),
        tuple(masked),
    )


@dataclass
class Bench:
    """The hosts, and applies and plans on them as the command line would do them."""

    lab: Lab
    events: list[Event] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    user: str = "root"

    @property
    def targets(self) -> dict[str, Target]:
        state = self.lab.state
        return {
            host: Target(host, self.lab.addresses[host], 22, self.user, state.known_hosts, state.identity)
            for host in HOSTS
        }

    def run(self, host: str, command: str, *, check: bool = True) -> str:
        return self.lab.run(host, ["sh", "-c", command], check=check).stdout

    def apply(
        self,
        *wanted: DesiredHost,
        take_over: bool = False,
        keep: int = 10,
        confirm_seconds: float = 30.0,
        together: bool = False,
        on_failure: OnFailure = OnFailure.STOP,
        on_event: Callable[[Event], None] | None = None,
        agree: Callable[[Mapping[str, HostPlan]], bool] = lambda plans: True,
    ) -> dict[str, HostResult]:
        """Apply; a result by host. Hosts go live ``together``, or one after the other in the order given."""

        def note(event: Event) -> None:
            self.events.append(event)
            if on_event:
                on_event(event)

        self.touched |= {host.host for host in wanted}
        settings = Settings(
            order=lambda plans: [list(plans)] if together else [[host] for host in plans],
            keep=keep,
            take_over=take_over,
            confirm_seconds=confirm_seconds,
            on_failure=on_failure,
        )
        by_name = {host.host: host for host in wanted}
        results = apply_fleet(
            {host: self.targets[host] for host in by_name},
            rendered(lambda: by_name),
            settings,
            note,
            agree,
            lambda text: text,
        )
        return {result.host: result for result in results}

    def rollback(self, host: str, revision: str = "") -> HostResult:
        settings = Settings(order=lambda plans: [[host] for host in plans], kind="rollback")
        targets = {host: self.targets[host]}
        (result,) = apply_fleet(
            targets, kept(revision), settings, self.events.append, lambda plans: True, lambda text: text
        )
        return result

    def rollback_last_run(self) -> dict[str, Outcome]:
        """Take back what the last apply changed, on all hosts; outcomes of those."""
        settings = Settings(order=lambda plans: [[host] for host in plans], kind="rollback")
        results = apply_fleet(
            self.targets, before_last_run(), settings, self.events.append, lambda plans: True, lambda text: text
        )
        return {result.host: result.outcome for result in results}

    def plan(self, wanted: DesiredHost) -> HostPlan:
        plans, errors = plan_fleet(
            {wanted.host: self.targets[wanted.host]}, rendered(lambda: {wanted.host: wanted}), lambda event: None
        )
        if errors:
            raise errors[0]
        return plans[wanted.host]

    def steps(self, host: str) -> list[str]:
        """Steps that were reported of ``host``, in order."""
        return [event.step for event in self.events if event.host == host]

    def written_since(self, host: str, marker: str) -> list[str]:
        """Files and folders on ``host`` that are newer than ``marker``, but for what logging and sshd write."""
        found = self.run(
            host,
            f"find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log "
            f"-o -path /var/lib/systemd/timers -o -path /var/lib/wtmpdb \\) -prune -o -newercm {marker} -print",
        )
        return sorted(line for line in found.splitlines() if line not in ("/", marker))

    def eventually(self, what: Callable[[], bool], *, within: float = 60.0) -> None:
        """Wait until ``what`` holds; fail when it does not in time."""
        end = time.monotonic() + within
        while not what():
            assert time.monotonic() < end, f"not within {within:g} s"
            time.sleep(0.1)

    def mark(self, host: str) -> str:
        """A file on ``host`` that everything written from now on is newer than."""
        self.run(host, "sleep 0.02; touch /run/marker; sleep 0.02")
        return "/run/marker"


@contextmanager
def bare_lab() -> Iterator[Lab]:
    """Three bare hosts beside the shared lab, for as long as the block lasts."""
    os.environ.setdefault("SMTPCTL_LAB_IMAGES", str(images_folder(StateFolder.of_environment())))
    with tempfile.TemporaryDirectory(prefix="smtpctl-deploy-", dir="/var/tmp") as folder:
        lab = Lab(StateFolder(Path(folder)))
        lab.up(INVENTORY)
        try:
            for host in HOSTS:
                lab.run(host, ["sh", "-c", RESET])
            yield lab
        finally:
            lab.down(wipe=True)
