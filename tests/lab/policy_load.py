"""Load on the submission hosts' policy services, rules changed under them, and their own numbers.

Each session signs in once and submits message after message, so that the limits and not the handshakes decide the rate.
Of each message it is kept when it was offered and when its answer was there: it was charged in between.
"""

from __future__ import annotations

import json
import re
import smtplib
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from smtpctl.lab.application import connect
from tests.lab.support import AppliedFleet, until

RULES = "/etc/smtpctl/policy.json"
EDGES = ("edge1", "edge2")

#: From so many errors in a session on smtpd(8) waits a second before each answer (smtpd_soft_error_limit).
MOST_ERRORS = 9

#: Puts standard input in place of a file, by rename, with the file's own owner and mode.
REPLACE = """
import os, shutil, sys
path = sys.argv[1]
with open(path + ".new", "w") as file:
    file.write(sys.stdin.read())
shutil.copymode(path, path + ".new")
os.chown(path + ".new", os.stat(path).st_uid, os.stat(path).st_gid)
os.rename(path + ".new", path)
"""


@dataclass
class Offered:
    """What became of a load: (offered, answered) of each accepted message, and the answers to the others."""

    accepted: list[tuple[float, float]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def most_within(self, seconds: float) -> int:
        """The most messages that were certainly charged within one window of that length."""
        spans = sorted(self.accepted)
        return max(
            (sum(1 for begun, ended in spans if begun >= start and ended < start + seconds) for start, _ in spans),
            default=0,
        )


@contextmanager
def offered(
    applied: AppliedFleet, credential: str, sender: str, recipient: str, *, sessions: int = 3, pause: float = 0.0
) -> Iterator[Offered]:
    """Offer messages by ``sessions`` sessions to each edge while the block runs; ``pause`` seconds between two."""
    load, over = Offered(), threading.Event()

    def run(edge: str) -> None:
        while not over.is_set():
            refused = 0
            with connect(applied.place(credential, address=applied.fleet.hosts[edge].address)) as session:
                while refused < MOST_ERRORS and not over.wait(pause):
                    refused += not _offer(applied, session, sender, recipient, load)

    with ThreadPoolExecutor(sessions * len(EDGES)) as pool:
        running = [pool.submit(run, edge) for edge in EDGES for _ in range(sessions)]
        try:
            yield load
        finally:
            over.set()
    for one in running:
        one.result()


def _offer(applied: AppliedFleet, session: smtplib.SMTP, sender: str, recipient: str, load: Offered) -> bool:
    """Offer one message; whether it was accepted."""
    message = applied.message(sender, recipient).as_bytes()
    begun = time.monotonic()
    try:
        session.sendmail(sender, [recipient], message)
    except smtplib.SMTPRecipientsRefused as refusal:
        load.refused += [f"{code} {text.decode()}" for code, text in refusal.recipients.values()]
    except smtplib.SMTPResponseException as refusal:
        load.refused.append(f"{refusal.smtp_code} {_text(refusal.smtp_error)}")
        session.rset()  # the refusal of DATA leaves the message's beginning
    else:
        load.accepted.append((begun, time.monotonic()))
        return True
    return False


def _text(words: bytes | str) -> str:
    return words if isinstance(words, str) else words.decode()


@contextmanager
def changed_rules(applied: AppliedFleet, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Both edges decide by changed rules while the block runs: the file is replaced under the running service."""
    before = {edge: applied.lab.run(edge, ["cat", RULES]).stdout for edge in EDGES}
    try:
        for edge, text in before.items():
            rules = json.loads(text)
            change(rules)
            replace_rules(applied, edge, json.dumps(rules))
        yield
    finally:
        for edge, text in before.items():
            replace_rules(applied, edge, text)


def replace_rules(applied: AppliedFleet, edge: str, text: str) -> None:
    """Put a rules file in place and wait until the service has looked at it."""
    before = reloads(applied, edge)
    applied.lab.run(edge, ["python3", "-c", REPLACE, RULES], input=text)
    until(lambda: reloads(applied, edge) > before, "the rules file was not looked at again")


def reloads(applied: AppliedFleet, edge: str) -> float:
    """How often the service has looked at its rules."""
    return sum(value for name, value in metrics(applied, edge).items() if "reloads_total" in name)


def metrics(applied: AppliedFleet, edge: str) -> dict[str, float]:
    """The policy service's own numbers, by name and labels."""
    address = f"http://{applied.fleet.hosts[edge].address}:9170/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(smtpctl_policy_\S+) (\S+)$", text, re.MULTILINE)}
