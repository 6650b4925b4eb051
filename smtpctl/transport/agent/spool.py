"""Postfix's own programs over its queues: postqueue(1), postcat(1), postsuper(1). Edge: it acts, and never judges.

Queue ids go to postsuper on standard input, so that no list is ever too long for a command line.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from . import StepError, processes, queue_files

#: Queue ids for one postcat or postsuper: a step of the progress, and a second of work at most.
BATCH = 2000

#: What postsuper(1) is asked for, by action, and what it says before the number of messages that it found.
#: ``bounce`` marks as expired, and takes off hold; the next attempt returns the message.
OPTIONS = {
    "hold": ("-h", "Placed on hold"),
    "release": ("-H", "Released from hold"),
    "delete": ("-d", "Deleted"),
    "requeue": ("-r", "Requeued"),
    "bounce": ("-f", "Force-expired"),
}

_PREFIX = "/etc/postfix-"


def instances() -> list[str]:
    """Names of the Postfix instances of this host, whether an inventory still knows them or not."""
    return sorted(path.parent.name.removeprefix("postfix-") for path in Path("/etc").glob("postfix-*/main.cf"))


def configuration(instance: str) -> str:
    """The configuration folder of an instance."""
    return f"{_PREFIX}{instance}"


def listing(instance: str) -> Generator[bytes, None, None]:
    """Lines of ``postqueue -j``: a message each. Whoever has read enough closes it; a failure is raised at the end."""
    command = ["postqueue", "-c", configuration(instance), "-j"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=processes.ENVIRONMENT
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise StepError("queue", "no pipe to postqueue")
        yield from process.stdout
        words = process.stderr.read().decode(errors="replace").strip()
        if process.wait() != 0:
            raise StepError("queue", f"{instance}: {words or 'postqueue failed'}")


def envelopes(instance: str, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(queue id, named attributes of its envelope) for each of ``ids`` that is still there."""
    text = _postcat(instance, "-eq", ids)
    for block in text.split("*** ENVELOPE RECORDS ")[1:]:
        head, _, body = block.partition("\n")
        identity = head.removesuffix(" ***").rpartition("/")[2]
        pairs = (line.split(": ", 1)[1] for line in body.splitlines() if line.startswith("named_attribute: "))
        yield identity, {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def transports(instance: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(queue id, transport) for each of ``ids`` that a FILTER answer has bound to one (access(5))."""
    for start in range(0, len(ids), BATCH):
        for block in _postcat(instance, "-eq", ids[start : start + BATCH]).split("*** ENVELOPE RECORDS ")[1:]:
            head, _, body = block.partition("\n")
            for line in body.splitlines():
                if line.startswith("content_filter: "):
                    yield head.removesuffix(" ***").rpartition("/")[2], line.split()[1].partition(":")[0]


def headers(instance: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(queue id, header) for each of ``ids`` that is still there."""
    for identity in ids:
        text = _postcat(instance, "-hq", [identity])
        if text:
            yield identity, text


def content(instance: str, identity: str) -> str:
    """Header and body of a message. Raise StepError when it is not there."""
    text = _postcat(instance, "-hbq", [identity])
    if not text:
        raise StepError("queue", f"{instance} has no message {identity} (any more)")
    return text


def act(instance: str, action: str, ids: Sequence[str]) -> int:
    """Do ``action`` to ``ids``; how many of them were still there for it."""
    if action == "retry":
        return _retry(instance, ids)
    option, words = OPTIONS[action]
    command = ["postsuper", "-c", configuration(instance), option, "-"]
    result = subprocess.run(
        command,
        input="\n".join(ids) + "\n",
        capture_output=True,
        text=True,
        errors="replace",
        env=processes.ENVIRONMENT,
    )
    if result.returncode:
        raise StepError("queue", f"{instance}: {result.stderr.strip()[-500:]}")
    if action == "bounce":
        _retry(instance, ids)
    # "postsuper: Placed on hold: 12 messages"; nothing where there was none.
    number = result.stderr.rpartition(f"postsuper: {words}: ")[2].partition(" ")[0]
    return int(number) if number.isdigit() else 0


def flush(instance: str) -> None:
    """Have everything that waits tried now."""
    result = processes.run(["postqueue", "-c", configuration(instance), "-f"], timeout=30)
    if result.code:
        raise StepError("queue", f"{instance}: {result.output}")


def _retry(instance: str, ids: Sequence[str]) -> int:
    """What flush(8) does for `postqueue -i`, which takes one id a program: the files are due now, destinations that
    were given up for the moment are tried again (F), and the deferred queue is looked through (D; qmgr(8), TRIGGERS).
    """
    found = queue_files.make_due(f"/var/spool/postfix-{instance}", ids)
    if found:
        result = processes.run(["postkick", "-c", configuration(instance), "public", "qmgr", "FD"], timeout=30)
        # It writes a zero byte after the request; a queue manager that has read this by then has closed the connection.
        if result.code not in (0, -signal.SIGPIPE):
            raise StepError("queue", f"{instance}: {result.output}")
    return found


def _postcat(instance: str, options: str, ids: Sequence[str]) -> str:
    """What postcat prints. A message that has left meanwhile is an error to it, and none here."""
    command = ["postcat", "-c", configuration(instance), options, *ids]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=processes.ENVIRONMENT
    ).stdout
