"""Postfix's own programs over its queues: postqueue(1), postcat(1), postsuper(1). Edge: it acts, and never judges.

Queue ids go to postsuper on standard input, so that no list is ever too long for a command line.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from . import StepError, processes

#: Queue ids for one postcat or postsuper: a step of the progress, and a second of work at most.
BATCH = 500

#: What postsuper(1) is asked for, by action. ``bounce`` marks as expired; the next attempt returns the message.
OPTIONS = {"hold": "-h", "release": "-H", "delete": "-d", "requeue": "-r", "bounce": "-f"}

#: postqueue -i asks flush(8) about one message; these many at once keep both processors of a small host busy.
RETRIES_AT_ONCE = 4

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
    command = ["postsuper", "-c", configuration(instance), OPTIONS[action], "-"]
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
    # Its last line: "postsuper: Placed on hold: 12 messages".
    number = result.stderr.rstrip().rpartition(": ")[2].partition(" ")[0]
    return int(number) if number.isdigit() else 0


def flush(instance: str) -> None:
    """Have everything that waits tried now."""
    result = processes.run(["postqueue", "-c", configuration(instance), "-f"], timeout=30)
    if result.code:
        raise StepError("queue", f"{instance}: {result.output}")


def _retry(instance: str, ids: Sequence[str]) -> int:
    from concurrent.futures import ThreadPoolExecutor  # brings logging, to every plan on a host with a pause

    with ThreadPoolExecutor(RETRIES_AT_ONCE) as pool:
        return sum(pool.map(lambda identity: _retry_one(instance, identity), ids))


def _retry_one(instance: str, identity: str) -> bool:
    return processes.run(["postqueue", "-c", configuration(instance), "-i", identity], timeout=30).code == 0


def _postcat(instance: str, options: str, ids: Sequence[str]) -> str:
    """What postcat prints. A message that has left meanwhile is an error to it, and none here."""
    command = ["postcat", "-c", configuration(instance), options, *ids]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=processes.ENVIRONMENT
    ).stdout
