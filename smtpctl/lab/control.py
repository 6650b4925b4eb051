"""The lab as an object: up, down, status, and what is done to one host of a running lab."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from smtpctl.dns import Record as DnsRecord
from smtpctl.errors import LabError, SecretsError, UsageError
from smtpctl.lab import linux
from smtpctl.lab.addresses import CONTROLLER, INTERNET
from smtpctl.lab.boot import PATIENCE, await_internet, await_ssh, boot
from smtpctl.lab.environment import TO_BOOT, TO_BUILD, require_programs, require_root, require_usable_folder
from smtpctl.lab.fleet import default_inventory, plan_lab
from smtpctl.lab.identities import ensure_ssh, ensure_ssh_key
from smtpctl.lab.image import ensure_image, find_image
from smtpctl.lab.internet.authority import ensure_internet
from smtpctl.lab.internet.install import MAIL
from smtpctl.lab.internet.mailboxes import count, delivered
from smtpctl.lab.internet.nameserver import RELOAD, fleet_records, write_zone
from smtpctl.lab.internet.zone import in_place
from smtpctl.lab.network import enter_network, entered
from smtpctl.lab.plan import Plan
from smtpctl.lab.state import Record, Report, StateFolder

#: Environment of a command in a host: nothing of the caller's but its terminal.
HOST_ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8")


def _silent(message: str) -> None:
    """Report nothing: the default where nobody watches."""


@dataclass(frozen=True, slots=True)
class Lab:
    """The lab of one state folder. Holds no state itself: every call looks at the running lab anew."""

    state: StateFolder = field(default_factory=StateFolder.of_environment)
    report: Report = _silent

    # --- the whole lab ---

    def build(self) -> Path:
        """The base image, built now unless it exists."""
        require_root()
        with self.state.locked(self.report):
            return self._image()

    def up(self, inventory: Path | None = None) -> bool:
        """Boot the hosts of ``inventory`` (default: the lab's own) and the internet host; return when all answer.
        False: it was up already. An error when it is up with another inventory than the one that is asked for."""
        require_root()
        require_programs(TO_BOOT)
        require_usable_folder(self.state.root)
        with self.state.locked(self.report):
            if (record := self.state.running()) is not None:
                if inventory is not None:
                    self._require_same(record, inventory.absolute())
                return False
            self._clear()
            plan = plan_lab(inventory or default_inventory(), self._image())
            try:
                self._boot(plan)
            except BaseException:
                self._kill()  # but keep the logs that the error speaks of
                raise
            return True

    def down(self, *, wipe: bool = False) -> None:
        """End the lab and throw its hosts' overlays away. A lab that is down already is fine. ``wipe``: the state
        folder too, with keys and image."""
        require_root()
        if not self.state.root.exists():
            self._clear()
            return
        with self.state.locked(self.report):
            self._clear()
            if wipe:
                shutil.rmtree(self.state.root)

    def status(self) -> Record | None:
        """The running lab; None when it is down."""
        return self.state.running()

    def running(self) -> Record:
        """The running lab; an error with the remedy when it is down."""
        record = self.state.running()
        if record is None:
            raise LabError(f"the lab of {self.state.root} is down", hint="run: smtpctl lab up")
        return record

    @property
    def addresses(self) -> Mapping[str, str]:
        """Address by name: every host, ``inet`` and ``ctl``, this machine's end of the bridge."""
        return self.running().addresses

    def enter(self) -> None:
        """Move the calling thread, and those it starts from now on, into the lab's network."""
        enter_network(self.running())

    def entered(self) -> AbstractContextManager[None]:
        """As a ``with`` block: the calling thread is in the lab's network for the block only."""
        return entered(self.running())

    # --- its internet ---

    def load_dns(self) -> int:
        """Serve the fleet's records as `smtpctl dns records` prints them, from now on; return how many."""
        records = fleet_records(Path(self.running().inventory))
        self._serve(records)
        return len(records)

    def serve(self, *extra: DnsRecord) -> None:
        """Serve ``extra`` from now on, in place of the fleet's and the lab's own records of the same name and type;
        without any, what the lab serves by itself."""
        self._serve(in_place(self._fleet_records_if_any(Path(self.running().inventory)), extra))

    def mail(self, domain: str, *, to: str | None = None, wait: float = 0.0, at_least: int = 1) -> list[EmailMessage]:
        """Messages that the mailbox provider of ``domain`` delivered to recipients there, oldest first; with ``to``
        for that recipient only. Wait up to ``wait`` seconds until there are ``at_least`` so many."""
        return delivered(self._mail_folder(), domain, to=to, wait=wait, at_least=at_least)

    def mail_count(self, domain: str) -> int:
        """How many deliveries the mailbox provider of ``domain`` made there: one for each recipient, exactly."""
        return count(self._mail_folder(), domain)

    # --- one host ---

    def command(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in ``host`` without SSH, by entering its namespaces; for ``ctl`` in the
        lab's network alone."""
        if host == CONTROLLER:
            return ["nsenter", "--net", f"--target={self.running().pid}", "--", *argv]
        environment = [*HOST_ENVIRONMENT, f"TERM={os.environ.get('TERM', 'dumb')}"]
        return ["nsenter", "--all", f"--target={self.first_process(host)}", "--", "env", "-i", *environment, *argv]

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` in ``host`` as root and return its outcome. ``check``: a LabError when it fails."""
        result = subprocess.run(
            self.command(host, argv),
            input=input or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if check and result.returncode != 0:
            words = (result.stderr or result.stdout).strip()[-1000:]
            raise LabError(f"{host}: {' '.join(argv)}: status {result.returncode}: {words}")
        return result

    def require_host(self, host: str) -> None:
        """Raise unless the running lab has ``host``."""
        hosts = [name for name in self.addresses if name != CONTROLLER]
        if host not in hosts:
            raise UsageError(f"no host {host!r} in the lab", hint=f"its hosts: {', '.join(hosts)}")

    def first_process(self, host: str) -> int:
        """The init process of ``host`` as this machine numbers it."""
        for process in self._first_processes(host):
            if linux.is_first_of_its_namespace(process):
                return process
        raise LabError(f"host {host} is off", hint=f"look at {self.state.console(host)}")

    def is_on(self, host: str) -> bool:
        """Whether anything of ``host`` runs: also while it boots, and until the last of it has ended."""
        return linux.is_populated(self._cgroup(host))

    def stop_host(self, host: str) -> None:
        """Cut the power of ``host``: every process of it is killed at once. Its disk (the overlay) stays."""
        linux.kill_cgroup(self._cgroup(host))
        # Connections that were open keep the host's network namespace for up to a minute, and with it the interface
        # that the next boot makes anew.
        self.run(CONTROLLER, ["ip", "link", "delete", f"vb-{host}"], check=False)

    def start_host(self, host: str) -> None:
        """Boot ``host`` again on the disk it had; return when it answers SSH. A host that is on is left alone."""
        record = self.running()
        # A host on its way down is on until it is gone, and the button of a host that is on does nothing.
        self._await(host, "neither boots nor ends", lambda: self._first_processes(host) or not self.is_on(host))
        self.state.power_button(host).touch()
        os.kill(record.pid, signal.SIGHUP)
        await_ssh(self.state, record, [host])
        if host == INTERNET:
            await_internet(self.state, record)

    def reinstall_host(self, host: str, *, another_machine: bool = False) -> None:
        """Cut the power of ``host``, throw its disk away and boot it as it was first; return when it answers SSH. As
        ``another_machine`` it has another SSH key, which nobody knows until somebody trusts it (``trust_hosts``)."""
        self.stop_host(host)
        self._await(host, "does not end", lambda: not self.is_on(host))
        self.state.empty_disk(host).touch()
        if another_machine:
            self.state.host_key(host).unlink()
            ensure_ssh_key(self.state.host_key(host), host)
        self.start_host(host)

    def trust_hosts(self) -> None:
        """Know every host by the key that it has now, and by no other."""
        ensure_ssh(self.state, Plan.from_json(self.state.plan.read_text()).hosts)

    def reboot_host(self, host: str) -> None:
        """Have ``host`` stop its services and boot again; return when it answers SSH."""
        before = self.first_process(host)
        self.run(host, ["systemctl", "reboot"], check=False)  # ends with the host, whatever its status
        self._await(host, "did not reboot", lambda: set(self._first_processes(host)) - {before})
        await_ssh(self.state, self.running(), [host])

    def cut(self, host: str) -> None:
        """Unplug ``host`` from the lab's network; it goes on running, alone."""
        self.require_host(host)
        self.run(CONTROLLER, ["ip", "link", "set", f"vb-{host}", "down"])

    def heal(self, host: str) -> None:
        """Plug ``host`` in again."""
        self.require_host(host)
        self.run(CONTROLLER, ["ip", "link", "set", f"vb-{host}", "up"])

    # --- how ---

    def _await(self, host: str, otherwise: str, reached: Callable[[], object]) -> None:
        """Wait until ``reached``; raise that ``host`` ``otherwise`` when that takes longer than any host needs."""
        end = time.monotonic() + PATIENCE
        while not reached():
            if time.monotonic() > end:
                raise LabError(f"{host} {otherwise}", hint=f"look at {self.state.console(host)}")
            time.sleep(0.05)

    def _image(self) -> Path:
        if (image := find_image(self.state)) is not None:
            return image
        require_programs(TO_BUILD)
        return ensure_image(self.state, self.report)

    def _require_same(self, record: Record, inventory: Path) -> None:
        if record.inventory != str(inventory):
            raise LabError(f"the lab is up with {record.inventory}, not {inventory}", hint="run: smtpctl lab down")

    def _cgroup(self, host: str) -> Path:
        self.require_host(host)
        return Path(self.running().cgroup, host)

    def _first_processes(self, host: str) -> list[int]:
        """Processes of the host's systemd itself; none while it is off."""
        return linux.cgroup_processes(self._cgroup(host) / "payload/init.scope")

    def _mail_folder(self) -> Path:
        """The internet host's mail, through the mount namespace of the lab: it is mounted nowhere else."""
        return Path(f"/proc/{self.running().pid}/root{self.state.host_root(INTERNET)}", MAIL)

    def _clear(self) -> None:
        """Kill what runs and remove what a lab leaves in the state folder, whatever of it still exists."""
        self._kill()
        for folder in (self.state.run, self.state.hosts):
            if folder.exists():
                shutil.rmtree(folder)

    def _kill(self) -> None:
        """Kill the lab's PID 1, and with it everything, even when the state folder was lost."""
        record = self.state.running()
        cgroup = Path(record.cgroup) if record is not None else linux.find_cgroup(self.state.name)
        if cgroup is not None:
            for pid in linux.cgroup_processes(cgroup):
                linux.kill(pid)
            linux.kill_cgroup(cgroup)

    def _boot(self, plan: Plan) -> None:
        ensure_ssh(self.state, plan.hosts)
        ensure_internet(self.state)
        write_zone(self.state, plan, self._fleet_records_if_any(Path(plan.inventory)))
        self.state.run.mkdir()
        boot(self.state, plan, self.report)

    def _serve(self, records: Sequence[DnsRecord]) -> None:
        write_zone(self.state, Plan.from_json(self.state.plan.read_text()), records)
        self.run(INTERNET, RELOAD)

    def _fleet_records_if_any(self, inventory: Path) -> Sequence[DnsRecord]:
        try:
            return fleet_records(inventory)
        except SecretsError as error:
            self.report(f"the lab's DNS has no records of the fleet yet ({error}); load them later: smtpctl lab dns")
            return ()
