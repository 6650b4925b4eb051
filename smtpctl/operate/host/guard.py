"""``smtpctl-guard``: locks out who guesses passwords, and says what changes on this host without smtpctl. Edge.

A lock-out is a pause of kind ``client``: `smtpctl-pauses` tells it to the other hosts, and it ends as pauses end. All
that it notices is a line of the mail log, and so an incident in the ledger; nothing here needs the control host.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smtpctl.operate.host import lockout
from smtpctl.operate.host.brute_force import LOCKED_OUT, MOST_LOCKED_OUT, Guessers
from smtpctl.operate.host.log import log
from smtpctl.operate.host.tail import Tail
from smtpctl.operate.host.watched import Noticed, OwnedFiles, SshKeys
from smtpctl.transport.agent import StepError
from smtpctl.transport.agent.pauses import FOLDER, PauseFolder, Record, in_force
from smtpctl.transport.agent.store import Store

#: Seconds between two looks at the log and the pauses; at the firewall, when nothing asks for one; at files and keys.
LOOK, FIREWALL, FILES = 1.0, 15.0, 20.0

LOG = Path("/var/log/mail.log")


class Guard:
    """What one host guards."""

    def __init__(self, config: dict[str, Any], folder: PauseFolder) -> None:
        self._host = config["host"]
        self._folder = folder
        self._tail = Tail(LOG)
        self._guessers = Guessers(config["trusted"])
        self._watched = (OwnedFiles(Store()), SshKeys(FOLDER / "ssh-keys.json"))
        self._brought: set[str] | None = None
        self._next_firewall = self._next_files = 0.0

    def step(self) -> None:
        """One look at everything whose turn it is."""
        now = time.time()
        current = [record for record in self._folder.read() if in_force(record, now)]
        current += self._lock_out(current, now)
        self._bring(lockout.wanted(current, now), time.monotonic())
        if time.monotonic() >= self._next_files:
            self._next_files = time.monotonic() + FILES
            for watched in self._watched:
                say(watched.look())

    def _lock_out(self, current: list[Record], now: float) -> list[Record]:
        """Pauses of those who have just guessed too often."""
        known = lockout.wanted(current, now)
        guessers = {address for line in self._tail.lines() if (address := self._guessers.read(line, now))}
        new = [address for address in sorted(guessers) if address not in known]
        records = [self._record(address, now) for address in new[: max(MOST_LOCKED_OUT - len(known), 0)]]
        if records:
            self._folder.add(records, now)
            say(Noticed("ban", "notice", record["value"], record["why"]) for record in records)
        return records

    def _record(self, address: str, now: float) -> Record:
        return {
            "id": uuid.uuid4().hex[:12],
            "kind": lockout.KIND,
            "value": address,
            "action": "refuse",
            "who": f"smtpctl-guard@{self._host}",
            "why": "too many failed sign-ins",
            "since": now,
            "until": now + LOCKED_OUT,
            "ended": None,
            "scope": {"clients": [address]},
            "queued": {},
        }

    def _bring(self, addresses: dict[str, int], now: float) -> None:
        if set(addresses) == self._brought and (now < self._next_firewall or not addresses):
            return
        self._next_firewall = now + FIREWALL
        try:
            lockout.bring(addresses)
        except StepError as error:
            # While the firewall is being changed its sets may be away; they are brought at the next turn.
            self._brought = None
            log(f"warning: firewall not reached, again soon: {error.detail}")
            return
        self._brought = set(addresses)


def say(noticed: Iterable[Noticed]) -> None:
    """An incident each, in the form that the ledger's shipper reads."""
    for one in noticed:
        text = one.text.replace("\\", "\\\\").replace('"', '\\"')
        log(f'incident kind={one.kind} severity={one.severity} subject={one.subject} text="{text}"')


def main() -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="smtpctl-guard", description=__doc__)
    parser.add_argument("--config", required=True, type=Path)
    config = json.loads(parser.parse_args().config.read_text())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    guard = Guard(config, PauseFolder())
    while not stopping.wait(LOOK):
        guard.step()
    return 0
