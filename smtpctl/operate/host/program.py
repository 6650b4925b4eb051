"""``smtpctl-pauses``: keeps a host's pauses in step with the fleet's, and its queues in step with the pauses. Edge."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from smtpctl.operate.host import effects, peers
from smtpctl.operate.host.log import log
from smtpctl.transport.agent import StepError
from smtpctl.transport.agent.pauses import PauseFolder, Record, in_force

#: Seconds between two looks at the file and the clock, and between two questions to one other host.
LOOK = 0.25
ASK = 2.0

#: Seconds until something that failed is tried again.
PATIENCE = 5.0

#: node_exporter's folder for such files on Debian.
TEXTFILES = Path("/var/lib/prometheus/node-exporter")


class Keeper:
    """The pauses of one host."""

    def __init__(self, config: dict[str, Any], hosts: dict[str, str], folder: PauseFolder) -> None:
        self._config = config
        self._folder = folder
        self._peers = sorted((name, address) for name, address in hosts.items() if address != config["address"])
        self._turn = 0
        self._metrics = ""
        self._not_before = 0.0

    def ask_all(self) -> None:
        """Learn from every other host what was pressed while this one was off, all at once."""
        threads = [threading.Thread(target=self._ask, args=peer, daemon=True) for peer in self._peers]
        for thread in threads:
            thread.start()
        end = time.monotonic() + peers.TIMEOUT + 1
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))

    def ask_next(self) -> None:
        """Learn from one other host; each has its turn."""
        if self._peers:
            self._ask(*self._peers[self._turn % len(self._peers)])
            self._turn += 1

    def step(self) -> None:
        """Bring queues to what has begun or ended since the last step; after a failure not at once again."""
        if time.monotonic() < self._not_before:
            return
        records, entered, now = self._folder.read(), self._folder.entered(), time.time()
        current = {record["id"]: record for record in records if in_force(record, now)}
        for record in records:
            identity = record["id"]
            if identity in current and identity not in entered:
                self._change(record, effects.enter, "pause-entered", entered | {identity})
            elif identity not in current and identity in entered:
                self._change(record, effects.leave, "pause-left", entered - {identity})
            else:
                continue
            entered = self._folder.entered()
        self._write_metrics(current.values())

    def _change(self, record: Record, effect: effects.Effect, event: str, entered: set[str]) -> None:
        try:
            effect(self._folder, record)
        except (StepError, OSError) as error:
            self._not_before = time.monotonic() + PATIENCE
            log(f"error: {event} failed, again soon: kind={record['kind']} text={error}")
            return
        self._folder.set_entered(entered)
        log(f"notice: {event} kind={record['kind']} value={record['value']} by={record['who']}")

    def _ask(self, name: str, address: str) -> None:
        try:
            records = peers.ask(name, address, self._config["port"], self._config["authority"])
            self._folder.add(records, time.time())
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
            # Being off is ordinary; the others know the same, and it is asked again.
            log(f"debug: peer-silent peer={name} text={error}")

    def _write_metrics(self, records: Any) -> None:
        """How many pauses of each kind are in force, for the node exporter; whole or not at all."""
        if not TEXTFILES.is_dir():
            return
        kinds = [record["kind"] for record in records]
        lines = ["# HELP smtpctl_paused Pauses in force, by kind.", "# TYPE smtpctl_paused gauge"]
        lines += [f'smtpctl_paused{{kind="{kind}"}} {kinds.count(kind)}' for kind in KINDS]
        text = "\n".join(lines) + "\n"
        if text != self._metrics:
            temporary = TEXTFILES / ".smtpctl-pauses.new"
            temporary.write_text(text)
            temporary.replace(TEXTFILES / "smtpctl-pauses.prom")
            self._metrics = text


KINDS = ("all-outbound", "campaign", "client", "credential", "pool", "provider", "sender-domain", "source", "stream")


def ready() -> None:
    """Tell systemd: Postfix may start, what was pressed meanwhile is known (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def main() -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="smtpctl-pauses", description=__doc__)
    parser.add_argument("--config", required=True, type=Path)
    config = json.loads(parser.parse_args().config.read_text())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    folder = PauseFolder()
    keeper = Keeper(config, json.loads(Path(config["peers_file"]).read_text()), folder)
    peers.serve(config["address"], config["port"], config["certificate"], folder.read)
    keeper.ask_all()
    ready()
    asker = threading.Thread(target=_ask_forever, args=(keeper, stopping), daemon=True)
    asker.start()
    while not stopping.wait(LOOK):
        keeper.step()
    return 0


def _ask_forever(keeper: Keeper, stopping: threading.Event) -> None:
    while not stopping.wait(ASK):
        keeper.ask_next()
