"""A controller's requests about the queues of this host: choose, count, act. Memory does not grow with the queue.

What is acted on is what was counted: the chosen queue ids stand in an unnamed file between the two requests. Queue
ids are long ones, which Postfix never uses again (enable_long_queue_ids, postconf(5)).
"""

from __future__ import annotations

import syslog
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import IO, Any

from . import StepError, providers, queue_files, spool
from .frames import Message
from .selection import Chosen, Count, Groups, Selector, groups_of

#: Called with the header and the blobs of a message to the controller.
Send = Callable[[dict[str, Any], list[bytes]], None]

#: Lines in one message to the controller.
CHUNK = 1000

#: showq(8), one process an instance, takes ten times as long for a message as all that is done with its line here.
LISTED_AT_ONCE = 8


class Queues:
    """What a visit has chosen so far. ``holder`` is who is at work, for the log."""

    def __init__(self, holder: str, send: Send) -> None:
        self._holder = holder
        self._send = send
        self._sending = threading.Lock()
        self._chosen: dict[str, IO[bytes]] = {}

    def select(self, message: Message) -> dict[str, Any]:
        """Choose, and say how many; ``rows`` sends each line too, and ``by`` counts in groups."""
        self._forget()
        request, now = message.header, time.time()
        wanted = {name: request["instances"].get(name, request["others"]) for name in spool.instances()}
        meant = {name: selection for name, selection in wanted.items() if selection is not None}
        counts: dict[str, dict[str, Any]] = {}
        groups = Groups()

        def choose(instance: str) -> tuple[dict[str, Count], Groups]:
            return self._choose(instance, meant[instance], request, now)

        with ThreadPoolExecutor(LISTED_AT_ONCE) as pool:
            for instance, (counted, grouped) in zip(meant, pool.map(choose, meant), strict=True):
                counts[instance] = {queue: count.document() for queue, count in sorted(counted.items())}
                groups.merge(grouped)
        return {"answer": "selected", "counts": counts, "groups": groups.counts.most_common()}

    def act(self, message: Message) -> dict[str, Any]:
        """Do something to everything that was chosen."""
        action, done = message.header["action"], {}
        for instance, file in self._chosen.items():
            acted = 0
            for batch in _batches(file):
                acted += spool.act(instance, action, batch)
                self._send({"event": "acted", "instance": instance, "messages": len(batch)}, [])
            done[instance] = acted
            if acted:
                self.log("queue", action=action, instance=instance, messages=acted)
        self._forget()
        return {"answer": "acted", "acted": done}

    def show(self, message: Message) -> dict[str, Any]:
        """The content of one message, which leaves a line in the log: somebody has read a letter."""
        instance, identity = message.header["instance"], message.header["id"]
        text = spool.content(instance, identity)
        self.log("content-shown", instance=instance, queue_id=identity)
        return {"answer": "shown", "contents": [text.encode(errors="replace")]}

    def flush(self, message: Message) -> dict[str, Any]:
        """Have everything that waits in some instances tried now."""
        for instance in message.header["instances"]:
            spool.flush(instance)
        return {"answer": "flushed"}

    def sizes(self, message: Message) -> dict[str, Any]:
        """How many messages some instances have, by queue: cheap, however many there are."""
        queues = ("maildrop", *queue_files.QUEUES)
        found = {instance: queue_files.sizes(instance, queues) for instance in message.header["instances"]}
        return {"answer": "sizes", "sizes": found}

    def log(self, event: str, **fields: object) -> None:
        """A line in the mail log: what was done, by whom. The ledger does not read these lines."""
        words = " ".join(f"{name}={value}" for name, value in {**fields, "by": self._holder}.items())
        syslog.openlog("smtpctl-operate", syslog.LOG_PID, syslog.LOG_MAIL)
        syslog.syslog(syslog.LOG_NOTICE, f"{event} {words}")

    def _choose(
        self, instance: str, selection: Mapping[str, Any], request: Mapping[str, Any], now: float
    ) -> tuple[dict[str, Count], Groups]:
        """What is meant in one instance, by queue, and in groups if they are asked for."""
        provider_of = providers.Providers(instance, request["providers"], request["default_provider"])
        selector, by = Selector(selection, provider_of, now), request["by"]
        counted: dict[str, Count] = {}
        groups = Groups()
        for chosen in self._find(instance, selection, selector, request["lines"]):
            counted.setdefault(chosen.entry["queue_name"], Count()).add(chosen)
            if by:
                groups.add([instance] if by == "pool" else groups_of(chosen, by, provider_of))
        return counted, groups

    def _find(self, instance: str, selection: Mapping[str, Any], selector: Selector, lines: bool) -> Iterator[Chosen]:
        """Everything that is meant, kept for ``act`` and, with ``lines``, sent to the controller as it comes."""
        file = self._chosen[instance] = tempfile.TemporaryFile()  # noqa: SIM115 - lives on until `act`, or the next choice
        matching = ((line, chosen) for line in spool.listing(instance) if (chosen := selector.choose(line)) is not None)
        closer = closer_look(instance, selection, matching)
        while chunk := list(islice(closer, CHUNK)):
            file.write(b"".join(f"{chosen.id}\n".encode() for _, chosen in chunk))
            if lines:
                content = b"".join(line for line, _ in chunk)
                with self._sending:
                    self._send({"event": "lines", "instance": instance}, [content])
            yield from (chosen for _, chosen in chunk)

    def _forget(self) -> None:
        for file in self._chosen.values():
            file.close()
        self._chosen = {}


Found = tuple[bytes, Chosen]


def closer_look(instance: str, selection: Mapping[str, Any], found: Iterator[Found]) -> Iterator[Found]:
    """Those of ``found`` whose credential and header are meant too, which only the queue files say."""
    credentials, wanted = set(selection.get("credential", ())), selection.get("header", ())
    if not credentials and not wanted:
        yield from found
        return
    while batch := list(islice(found, spool.BATCH)):
        ids = [chosen.id for _, chosen in batch]
        if credentials:
            known = dict(spool.envelopes(instance, ids))
            ids = [key for key in ids if known.get(key, {}).get("sasl_username", "").lower() in credentials]
        if wanted:
            ids = [key for key, text in spool.headers(instance, ids) if _has_header(text, wanted)]
        kept = set(ids)
        yield from ((line, chosen) for line, chosen in batch if chosen.id in kept)


def _has_header(text: str, wanted: list[list[str]]) -> bool:
    """Whether a header holds one of the ``(name, value)`` pairs; both without case, folded lines unfolded."""
    unfolded = text.replace("\n ", " ").replace("\n\t", " ")
    lines = {
        (name.strip().lower(), value.strip().lower())
        for name, colon, value in (line.partition(":") for line in unfolded.splitlines())
        if colon
    }
    return any((name.lower(), value.lower()) in lines for name, value in wanted)


def _batches(file: IO[bytes]) -> Iterator[list[str]]:
    file.seek(0)
    while lines := list(islice(file, spool.BATCH)):
        yield [line.decode().rstrip("\n") for line in lines]


def require(queues: Queues | None) -> Queues:
    """The queues of a visit that has begun with them."""
    if queues is None:
        raise StepError("queue", "nothing was chosen")
    return queues
