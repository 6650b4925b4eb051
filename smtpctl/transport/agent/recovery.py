"""Leading back an apply that nobody finished: by the undo timer, at boot, or before the next apply."""

from __future__ import annotations

from pathlib import Path

from . import MARKER, lock, processes, staging, undo, units
from .store import Store, write_durably

UNIT = "smtpctl-recover.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT

#: Runs after local file systems are there and before anything that serves mail or filters packets. The condition keeps
#: an ordinary boot free of it.
UNIT_TEXT = f"""# Written by smtpctl. Leads back a configuration change that was interrupted by a reboot.
[Unit]
Description=smtpctl: lead back an interrupted change
DefaultDependencies=no
ConditionPathExists=/var/lib/smtpctl/journal.json
After=local-fs.target
Before=sysinit.target network-pre.target nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I -S -B /var/lib/smtpctl/agent.pyz recover {MARKER} "recovery at boot"
TimeoutStartSec=60

[Install]
WantedBy=sysinit.target
"""


def install(store: Store, archive: bytes) -> None:
    """Leave this program and the unit that runs it at boot on the host, before the first journal needs them."""
    if not store.agent.exists() or store.agent.read_bytes() != archive:
        write_durably(store.agent, archive)
    if UNIT_FILE.exists() and UNIT_FILE.read_text() == UNIT_TEXT:
        return
    write_durably(UNIT_FILE, UNIT_TEXT.encode())
    UNIT_FILE.chmod(0o644)
    units.enable([UNIT])


def undo_unfinished(store: Store, reason: str, *, booting: bool = False) -> str:
    """Lead back the unfinished apply, if there is one; what was done, in words, or nothing. The lock is held."""
    journal = store.journal()
    if journal is None:
        return ""
    problems = undo.undo(store, journal, reason, booting=booting)
    staging.clear(store)
    done = f"led back to {journal['previous'] or 'the state before smtpctl'}: {reason}"
    log(f"{done}{f'; left over: {problems}' if problems else ''}")
    return done


def run(store: Store, reason: str, *, number: int | None = None, booting: bool = False) -> None:
    """Entry of the timer and of boot. Waits for the lock: an agent that is still at work finishes or undoes by itself.

    ``number`` is the journal that the timer was armed for; a later one is none of its business.
    """
    held = lock.exclusive(store.base, wait=True)
    try:
        journal = store.journal()
        if journal is not None and number in (None, journal["number"]):
            undo_unfinished(store, reason, booting=booting)
    finally:
        held.release()


def log(text: str) -> None:
    """One line in the host's journal."""
    processes.run(["logger", "--tag", "smtpctl", "--priority", "daemon.warning", "--", text], timeout=10)
