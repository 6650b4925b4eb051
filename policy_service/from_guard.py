"""``from-guard``: the milter that holds the header From against the credential, before anything is signed. Edge."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from pathlib import Path
from typing import cast

from policy_service.daemon import run_daemon
from policy_service.header_from import objection
from policy_service.listen import Endpoint, endpoint
from policy_service.log import ERROR, NOTICE, WARNING, log
from policy_service.milter import CONTINUE, TEMPFAIL, Headers, MilterError, Session, hold, refusal
from policy_service.pauses import PauseFile, campaign
from policy_service.reading import read_rules
from policy_service.rules import HEADER_FROM
from policy_service.ruleset import Ruleset


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``from-guard``."""
    parser.add_argument("--rules", required=True, type=Path, help="rules file (JSON)")
    parser.add_argument("--socket", action="append", required=True, type=_socket, metavar="PATH|tcp:HOST:PORT")
    parser.add_argument("--socket-mode", default="0660", help="permission bits of unix sockets (octal)")


class Guard:
    """The rules in force, and the decision over one message."""

    def __init__(self, rules: Path) -> None:
        self._path = rules
        self._pauses = PauseFile()
        self.decisions: Counter[str] = Counter()
        self.ruleset: Ruleset = read_rules(rules)

    def reload(self) -> None:
        """Take the file anew. Raise OSError or RulesError and keep the old rules when it is bad."""
        self.ruleset = read_rules(self._path)

    async def run(self) -> None:
        """Nothing to do between messages."""
        await asyncio.Event().wait()

    def decide(self, name: str, headers: Headers) -> bytes:
        """The milter's answer. Whatever goes wrong in here holds the mail, it never lets it pass."""
        try:
            text = self.objection(name, headers)
        except Exception as error:  # noqa: BLE001 - a bug must not open the gate; the message stays with its sender
            log(ERROR, "failed", program="from-guard", credential=name, text=repr(error))
            return TEMPFAIL
        if text is None:
            return self._passed(headers)
        mode = self.ruleset.mode(HEADER_FROM)
        log(NOTICE, "decision" if mode == "enforce" else "would-decide", rule=HEADER_FROM, credential=name, text=text)
        if mode == "shadow":
            return CONTINUE
        self.decisions["refuse"] += 1
        return refusal(f"550 5.7.1 {text}")

    def _passed(self, headers: Headers) -> bytes:
        """The answer to a message that may go out, unless its campaign is paused."""
        pause = campaign(self._pauses.current(), headers)
        if pause is None:
            self.decisions["pass"] += 1
            return CONTINUE
        if pause.refuse:
            self.decisions["paused"] += 1
            return refusal(f"550 5.7.1 Paused by the operator: {pause.words}")
        self.decisions["hold"] += 1
        return hold(f"paused by the operator: {pause.words}")

    def objection(self, name: str, headers: Headers) -> str | None:
        """Why this message may not go out, or None."""
        if not name:
            return "Submission needs authentication"
        credential = self.ruleset.credentials.get(name)
        if credential is None:
            return "This credential is not one of the fleet's"
        return objection(headers, credential.may_use, credential.name)


class Connection(asyncio.Protocol):
    """One connection of an MTA."""

    def __init__(self, guard: Guard) -> None:
        self._session = Session(guard.decide)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        try:
            answers = self._session.feed(data)
        except MilterError as error:
            log(WARNING, "protocol-error", program="from-guard", text=error)
            self._transport.abort()
            return
        if answers:
            self._transport.write(answers)
        if self._session.closed:
            self._transport.close()


def main(options: argparse.Namespace) -> int:
    """Run the milter until SIGTERM."""
    return run_daemon(
        "from-guard",
        lambda: Guard(options.rules),
        Connection,
        options.socket,
        int(options.socket_mode, 8),
        rules=options.rules,
    )


def _socket(text: str) -> Endpoint:
    return endpoint(text if text.startswith(("unix:", "tcp:")) else f"unix:{text}")
