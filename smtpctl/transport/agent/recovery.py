"""Leading back an apply that nobody finished: by the undo timer, at boot, or before the next apply."""

from __future__ import annotations

import os
from pathlib import Path

from . import MARKER, lock, processes, staging, swap, undo, units
from .store import Store, sync_folder, write_durably

UNIT = "smtpctl-recover.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT

#: Runs after local file systems are there and before anything that serves mail or filters packets. The conditions, of
#: which one has to hold, keep an ordinary boot free of it.
UNIT_TEXT = f"""# Written by smtpctl. Leads back a configuration change that was interrupted by a reboot.
[Unit]
Description=smtpctl: lead back an interrupted change
DefaultDependencies=no
ConditionPathExists=|/var/lib/smtpctl/journal.json
ConditionPathExists=|/var/lib/smtpctl/stage
After=local-fs.target
Before=sysinit.target network-pre.target nftables.service
Conflicts=shutdown.target
# By hand it would wait for units that wait for it: python3 /var/lib/smtpctl/agent recover
RefuseManualStart=yes

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I -S -B /var/lib/smtpctl/agent recover {MARKER} "recovery at boot"
TimeoutStartSec=60

[Install]
WantedBy=sysinit.target
"""


def install(store: Store, digest: str) -> None:
    """Have the undo timer and the next boot run the program of this hash, before the first journal needs them."""
    if not store.agent.is_symlink() or str(store.agent.readlink()) != f"agents/{digest}":
        _point_to(store, digest)
    if UNIT_FILE.exists() and UNIT_FILE.read_text() == UNIT_TEXT:
        return
    write_durably(UNIT_FILE, UNIT_TEXT.encode())
    UNIT_FILE.chmod(0o644)
    units.enable([UNIT])


def _point_to(store: Store, digest: str) -> None:
    """Let boot run this program from now on; other versions are dropped, but for the one before."""
    import shutil

    others = sorted((path for path in store.agents.iterdir() if path.name != digest), key=os.path.getmtime)
    for path in others[:-1]:
        shutil.rmtree(path)
    link = store.agent.with_name(".agent.new")
    link.unlink(missing_ok=True)
    link.symlink_to(f"agents/{digest}")
    link.replace(store.agent)
    sync_folder(store.base)


def undo_unfinished(store: Store, reason: str, *, booting: bool = False) -> str:
    """Lead back the unfinished apply, if there is one; what was done, in words, or nothing. The lock is held."""
    journal = store.journal()
    if journal is None:
        _tidy(store)
        return ""
    problems = undo.undo(store, journal, reason, booting=booting)
    done = f"led back to {journal['previous'] or 'the state before smtpctl'}{undo.stays(journal)}: {reason}"
    log(f"{done}{f'; left over: {problems}' if problems else ''}")
    return done


def _tidy(store: Store) -> None:
    """Finish the commit of an agent that ended right after it, and drop the stage of one that ended before."""
    current = store.current() or {}
    swap.clean(current.get("before", ()))
    swap.remove_empty(current.get("left", ()))
    staging.clear(store)


def run(store: Store, reason: str, *, number: int | None = None, booting: bool = False) -> None:
    """Entry of the timer and of boot. Waits for the lock: an agent that is still at work finishes or undoes by itself.

    ``number`` is the journal that the timer was armed for; a later one is none of its business.
    """
    held = lock.exclusive(store.base, wait=True)
    try:
        journal = store.journal()
        if journal is None or number in (None, journal["number"]):
            undo_unfinished(store, reason, booting=booting)
    finally:
        held.release()


def log(text: str) -> None:
    """One line in the host's journal."""
    processes.run(["logger", "--tag", "smtpctl", "--priority", "daemon.warning", "--", text], timeout=10)
