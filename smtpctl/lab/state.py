"""The lab's folder: what lies where, the lock, and the record of the running lab.

::

    images/NAME/            base images, built once
    keys/                   identities that outlive a lab: SSH keys, lab CA, DNSSEC key
    known_hosts, ssh_config for OpenSSH and paramiko
    hosts/HOST/             overlay and console log of one host; thrown away by `down`
    zones/                  the zone file of the internet host's name server
    run/                    what describes the running lab: lab.json, plan.json, supervisor.log
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from smtpctl.errors import LabError
from smtpctl.lab.linux import start_time
from smtpctl.model.frozen import Frozen

DEFAULT_STATE = Path("/var/lib/smtpctl-lab")

Report = Callable[[str], None]


class Record(Frozen):
    """The running lab: its PID 1 as this machine numbers it, its cgroup, and its hosts' addresses by name."""

    pid: int
    start_time: str
    cgroup: str
    addresses: Mapping[str, str]
    inventory: str

    @property
    def alive(self) -> bool:
        return self.start_time != "" and start_time(self.pid) == self.start_time


class StateFolder(Frozen):
    """Paths under one state folder. Nothing is made until it is asked for."""

    root: Path

    @classmethod
    def of_environment(cls) -> StateFolder:
        """The folder named by SMTPCTL_LAB_DIR, else /var/lib/smtpctl-lab."""
        return cls(Path(os.environ.get("SMTPCTL_LAB_DIR") or DEFAULT_STATE).absolute())

    @property
    def name(self) -> str:
        """Name of the lab's cgroup: derived from the folder's path alone, so that `down` finds it with no state."""
        return "smtpctl-lab-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def identity(self) -> Path:
        """The controller's private SSH key."""
        return self.keys / "id_ed25519"

    def host_key(self, host: str) -> Path:
        """The private SSH key of ``host``; its public half stands beside it."""
        return self.keys / "hosts" / host

    @property
    def authority(self) -> Path:
        """Certificate of the lab's authority, by which the providers' certificates are trusted."""
        return self.keys / "ca.pem"

    @property
    def authority_key(self) -> Path:
        return self.keys / "ca.key"

    def provider_chain(self, provider: str) -> Path:
        """Private key, then certificates of a mailbox provider, as Postfix's smtpd_tls_chain_files wants them."""
        return self.keys / "providers" / f"{provider}.pem"

    @property
    def zone_key(self) -> Path:
        """Private key that signs the lab's root zone."""
        return self.keys / "zone.key"

    @property
    def trust_anchor(self) -> Path:
        """The public half of ``zone_key`` as a DNSKEY record."""
        return self.keys / "trust-anchor.key"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.root / "ssh_config"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    @property
    def zones(self) -> Path:
        """The name server's zone file, seen by the internet host as /srv/zones."""
        return self.root / "zones"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def record(self) -> Path:
        return self.run / "lab.json"

    @property
    def plan(self) -> Path:
        return self.run / "plan.json"

    @property
    def supervisor_log(self) -> Path:
        return self.run / "supervisor.log"

    def host_root(self, host: str) -> Path:
        """Where the supervisor mounts the root file system of ``host``, in its own mount namespace."""
        return self.hosts / host / "root"

    def power_button(self, host: str) -> Path:
        """A file that asks the supervisor to start ``host`` at the next SIGHUP."""
        return self.hosts / host / "start"

    def empty_disk(self, host: str) -> Path:
        """A file that asks the supervisor to start ``host`` on an empty disk."""
        return self.hosts / host / "empty"

    def console(self, host: str) -> Path:
        return self.hosts / host / "console.log"

    def write_record(self, record: Record) -> None:
        """Put ``record`` in place by rename: a reader sees all of it or none."""
        temporary = self.record.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(record), indent=2))
        temporary.replace(self.record)

    def running(self) -> Record | None:
        """The record of the running lab; None when the lab is down, whatever the folder says."""
        try:
            record = Record(**json.loads(self.record.read_text()))
        except (FileNotFoundError, PermissionError, json.JSONDecodeError, TypeError):
            return None
        return record if record.alive else None

    def locked(self, report: Report) -> AbstractContextManager[None]:
        """Hold the folder's lock; wait for another command to end."""
        return locked(self.root, report)


@contextmanager
def locked(folder: Path, report: Report, *, patience: float = 900.0) -> Iterator[None]:
    """Hold the lock of ``folder``; say so once when another command has it, and wait up to ``patience`` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        end = time.monotonic() + patience
        told = False
        while not _try_lock(lock.fileno()):
            if not told:
                report(f"another smtpctl lab command works in {folder}; waiting for it")
                told = True
            if time.monotonic() > end:
                raise LabError(f"another smtpctl lab command holds {folder}/lock for {patience:.0f} s")
            time.sleep(0.1)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
