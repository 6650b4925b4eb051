"""One controller's visit: observe, stage, commit, confirm, in this order, over one stream.

When the stream ends before ``commit`` nothing has changed. When it ends after it, this process ends too, and the undo
timer leads the host back; a controller that comes back over a new connection before that may still confirm.

A plan waits until this module and what it imports are loaded, six times or sixty on the controller's side: what only
other messages need is imported by their handlers, and no module that is imported here imports typing or pathlib.
"""

from __future__ import annotations

import os
import select
from functools import cached_property

from . import PROTOCOL, StepError, facts, frames, lock, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from . import giving_way, queues
    from .store import Store


class Session:
    """State between the messages of one visit."""

    def __init__(self, channel: Channel, digest: str, archive: bytes, holder: str) -> None:
        self.channel = channel
        self.holder = holder
        self.queues: queues.Queues | None = None
        self.digest = digest
        self.archive = archive
        self.lock: lock.Lock | None = None
        self.wanted: dict[str, dict[str, Any]] = {}
        self.journal: dict[str, Any] | None = None
        self.keep = 10
        self.confirm_seconds = 0.0
        self.way: giving_way.Way | None = None

    @cached_property
    def store(self) -> Store:
        """What smtpctl keeps here; for what more than reads its records."""
        from .store import Store

        return Store()

    def serve(self) -> None:
        """Answer messages until the stream ends; then send mail again wherever this controller has stopped it."""
        try:
            self._answer()
        finally:
            if self.way is not None:
                self.way.release()

    def _answer(self) -> None:
        handlers: dict[str, Callable[[frames.Message], dict[str, Any]]] = {
            "observe": self.observe,
            "stage": self.stage,
            "commit": self.commit,
            "ping": self.ping,
            "settle": self.settle,
            "confirm": self.confirm,
            "undo": self.lead_back,
            "abandon": self.abandon,
            "recall": self.recall,
            "history": self.history,
            "give-way": self.give_way,
            "upgradable": self.upgradable,
            "queue-select": lambda message: self._mail_queues().select(message),
            "queue-act": lambda message: self._mail_queues().act(message),
            "queue-show": lambda message: self._mail_queues().show(message),
            "pauses": self.pause,
            "intake": self.intake,
            "state": self.state,
            "examine": self.examine,
            "hand-over": self.hand_over,
            "waiting": self.waiting,
            "queue-flush": lambda message: self._mail_queues().flush(message),
            "queue-sizes": lambda message: self._mail_queues().sizes(message),
            "log-sizes": self.log_sizes,
            "handmade": self.handmade,
            "admit": self.admit,
        }
        while (message := self._next()) is not None:
            try:
                answer = handlers[message.header["do"]](message)
            except StepError as error:
                answer = {"answer": "failed", "step": error.step, "detail": error.detail}
            except lock.LockedError as error:
                answer = {"answer": "locked", "holder": str(error)}
            except OSError as error:
                answer = {"answer": "failed", "step": message.header["do"], "detail": str(error)}
            self.channel.send(answer, answer.pop("contents", ()))

    # -- what a controller can ask for

    def observe(self, message: frames.Message) -> dict[str, Any]:
        """Facts about this host. Takes the lock; an exclusive visit first undoes what an earlier one left."""
        request = message.header
        if request["protocol"] != PROTOCOL:
            raise StepError("observe", f"the controller speaks version {request['protocol']}, this agent {PROTOCOL}")
        _refuse_newer()
        recovered = self._take_lock(request["exclusive"])
        current = records.current() or {}
        owned: dict[str, Any] = current.get("files", {})
        services = [service["unit"] for service in current.get("services", [])]
        masks = current.get("masks", [])
        asked: dict[str, list[Any]] = request["files"]
        found = {path: facts.file_fact(path) for path in sorted({*asked, *owned})}
        unfinished = records.journal()
        answer = {
            "answer": "observed",
            "revision": current.get("revision", ""),
            "release": current.get("release", ""),
            "owned": owned,
            "owned_services": services,
            "owned_masks": masks,
            "files": found,
            "packages": facts.installed_packages(request["packages"]),
            "units": facts.unit_facts([*request["units"], *services, *masks]),
            "written": {path: facts.written_at(path) for path in asked if path in owned},
            "unfinished": f"begun by {unfinished['who']}" if unfinished else "",
            "recovered": recovered,
            "holds_address": bool(request["address"]) and facts.holds_address(request["address"]),
            "paused": facts.paused(),
        }
        return {**answer, **_differing(found, asked, owned)}

    def stage(self, message: frames.Message) -> dict[str, Any]:
        """Take in the new files, install packages, validate. Nothing that runs here notices."""
        request = message.header
        self._require_lock()
        self.store.prepare()
        if self.archive:  # all that comes from here on comes compiled
            from . import installing

            installing.unpack(self.store.agents, self.digest, self.archive)
        from . import checks, packages, staging

        for content in message.blobs:
            self.store.put(content)
        self.wanted = request["files"]
        if request["packages"]:
            self.report("packages", " ".join(request["packages"]))
            packages.install(request["packages"])
        if request["upgrades"]:
            self.report("fetch", f"{len(request['upgrades'])} packages")
            packages.fetch(request["upgrades"])
        self._make_staged_users(request["sysusers"])
        staging.build(self.store, self.wanted)
        self.report("validate", f"{len(request['checks'])} checks")
        return {"answer": "staged", "checks": checks.run_all(self.store, request["checks"], self.wanted)}

    def commit(self, message: frames.Message) -> dict[str, Any]:
        """Make the staged state live, provisionally: it leads back unless confirmed in time."""
        from . import recovery, timer, transaction  # all that the way back needs, too

        request = message.header
        self._require_lock()
        self.keep = request["keep"]
        recovery.install(self.store, self.digest)
        journal = transaction.journal_of(self.store, request, self.wanted)
        self.store.begin(journal)
        try:
            timer.arm(self.store.agent, journal["number"], request["confirm_seconds"])
            transaction.carry_out(self.store, journal, request, self.wanted, self.report)
        except (StepError, OSError) as error:
            return self._led_back(journal, error)
        self.journal = journal
        self.confirm_seconds = request["confirm_seconds"]
        return {"answer": "live"}

    def ping(self, message: frames.Message) -> dict[str, Any]:
        """A controller came through to here: log-in, rights and this program work."""
        return {"answer": "pong"}

    def settle(self, message: frames.Message) -> dict[str, Any]:
        """What became of an apply whose connection broke: what it left unfinished is led back now."""
        from . import recovery

        _refuse_newer()
        self.lock = self.lock or lock.exclusive(self.store.base)
        recovered = recovery.undo_unfinished(self.store, "the connection to the controller broke")
        current = self.store.current() or {}
        return {"answer": "settled", "revision": current.get("revision", ""), "recovered": recovered}

    def confirm(self, message: frames.Message) -> dict[str, Any]:
        """Commit what is live. On a new connection the journal is found on disk."""
        from . import staging, transaction

        revision = message.header["revision"]
        if self.lock is None:
            self.lock = lock.exclusive(self.store.base)
        journal = self.journal or self.store.journal()
        if journal is None or journal["revision"] != revision:
            detail = f"too late: there is no unconfirmed revision {revision} any more"
            return {
                "answer": "failed",
                "step": "confirm",
                "detail": detail,
                "undone": True,
                "problems": "",
                "stays": "",
            }
        transaction.commit(self.store, journal, self.keep)
        staging.clear(self.store)
        self.journal = None
        return {"answer": "committed"}

    def lead_back(self, message: frames.Message) -> dict[str, Any]:
        """Lead back what is live and unconfirmed, because the controller says so."""
        from . import undo

        self._require_lock()
        if self.journal is None:
            raise StepError("undo", "nothing is live that could be led back")
        stays = undo.stays(self.journal)
        problems = undo.undo(self.store, self.journal, message.header["reason"])
        self.journal = None
        return {"answer": "undone", "problems": problems, "stays": stays}

    def abandon(self, message: frames.Message) -> dict[str, Any]:
        """Drop what was staged."""
        from . import staging

        staging.clear(self.store)
        return {"answer": "abandoned"}

    def history(self, message: frames.Message) -> dict[str, Any]:
        """Everything that was committed or undone here, oldest first, without what it takes to bring it back."""
        return {"answer": "history", "entries": [_entry(journal) for journal in self.store.history()]}

    def recall(self, message: frames.Message) -> dict[str, Any]:
        """A kept revision, with the contents that differ from what stands here now; never those of secret files."""
        _refuse_newer()
        record = self.store.find(message.header["revision"])
        paths, contents = [], []
        for path, file in record["files"].items():
            if not file["secret"] and facts.file_fact(path).get("sha256") != file["sha256"]:
                paths.append(path)
                contents.append(self.store.get(file["sha256"]))
        return {"answer": "recalled", "record": record, "content_paths": paths, "contents": contents}

    def upgradable(self, message: frames.Message) -> dict[str, Any]:
        """Newer versions of installed packages. Only apt's own lists change by it."""
        from . import packages

        return {"answer": "upgradable", "upgrades": packages.upgradable(message.header["packages"])}

    def give_way(self, message: frames.Message) -> dict[str, Any]:
        """Drain, take over, settle: what another host's change, or this one's, asks of those who carry mail."""
        from . import giving_way

        self.way = self.way or giving_way.Way()
        return self.way.answer(message.header)

    def pause(self, message: frames.Message) -> dict[str, Any]:
        """Take in pauses and ends of pauses, and wait a moment until this host has come to them; all that it knows."""
        from . import pauses

        request = message.header
        records = pauses.take_in(pauses.PauseFolder(), request["records"], request["hold"], request["seconds"])
        return {"answer": "pauses", **records}

    def state(self, message: frames.Message) -> dict[str, Any]:
        """What this host says of itself."""
        from . import state

        return {"answer": "state", **state.state(message.header["virtual_address"])}

    def examine(self, message: frames.Message) -> dict[str, Any]:
        """What no plan can see of this host."""
        from . import examination

        return {"answer": "examined", **examination.examine(message.header["names"], message.header["addresses"])}

    def intake(self, message: frames.Message) -> dict[str, Any]:
        """Have a HAProxy of this host send nothing new to a server, or send again."""
        from . import emptying

        request = message.header
        return {"answer": "intake", "sessions": emptying.intake(request["socket"], request["server"], request["state"])}

    def hand_over(self, message: frames.Message) -> dict[str, Any]:
        """Hand the mail of pools over to others, or no more; or, asked without pools, say which are."""
        from . import emptying

        if message.header["pools"] is not None:
            emptying.hand_over(message.header["pools"])
        return {"answer": "handed-over", "pools": emptying.handed_over()}

    def waiting(self, message: frames.Message) -> dict[str, Any]:
        """Mail that a change would leave behind."""
        from . import waiting

        return {"answer": "waiting", **waiting.waiting(message.header["instances"], message.header["transports"])}

    def handmade(self, message: frames.Message) -> dict[str, Any]:
        """What a Postfix that was set up by hand says of itself."""
        from . import handmade

        return {"answer": "handmade", "facts": handmade.gather()}

    def admit(self, message: frames.Message) -> dict[str, Any]:
        """Let the deploy user of the inventory in, on a host that knows only root so far."""
        from . import admission

        admission.require_debian_13()
        self._require_lock()
        return {"answer": "admitted", "changed": admission.admit(message.header)}

    # -- parts

    def log_sizes(self, message: frames.Message) -> dict[str, Any]:
        """How many bytes stand in files of this host that somebody follows; 0 for one that is not there."""
        there = {path: os.path.exists(path) for path in message.header["logs"]}
        sizes = {path: os.stat(path).st_size if exists else 0 for path, exists in there.items()}
        return {"answer": "sizes", "sizes": sizes}

    def _mail_queues(self) -> queues.Queues:
        """The queues of this host; what a visit chose there lives as long as it. No lock: Postfix has its own."""
        if self.queues is None:
            from . import queues  # a plan needs nothing of it

            self.queues = queues.Queues(self.holder, self.channel.send)
        return self.queues

    def _next(self) -> frames.Message | None:
        """The next message. A controller that says nothing while something unconfirmed is live has lost its say."""
        if self.journal is not None and not self.channel.wait(self.confirm_seconds):
            from . import undo

            undo.undo(self.store, self.journal, "the controller did not confirm in time")
            self.journal = None
        return self.channel.receive()

    def report(self, step: str, detail: str) -> None:
        self.channel.send({"event": "step", "step": step, "detail": detail})

    def _led_back(self, journal: dict[str, Any], error: StepError | OSError) -> dict[str, Any]:
        from . import undo

        step, detail = (error.step, error.detail) if isinstance(error, StepError) else ("swap", str(error))
        self.report("undo", f"after: {step}")
        problems = undo.undo(self.store, journal, f"{step}: {detail}")
        failed = {"answer": "failed", "step": step, "detail": detail}
        return {**failed, "undone": True, "problems": problems, "stays": undo.stays(journal)}

    def _take_lock(self, exclusive: bool) -> str:
        if self.lock is not None:
            return ""
        if not exclusive:
            self.lock = lock.shared(records.BASE)
            return ""
        if not os.path.isdir(records.BASE):
            return ""
        self.lock = lock.exclusive(records.BASE)
        if records.journal() is None and not os.path.isdir(f"{records.BASE}/{records.STAGE}"):
            return ""
        from . import recovery

        return recovery.undo_unfinished(self.store, "the next apply found it unfinished")

    def _require_lock(self) -> None:
        """A host that has no folder of ours yet is locked when the first change makes it."""
        if self.lock is None:
            self.store.prepare()
            self.lock = lock.exclusive(self.store.base)

    def _make_staged_users(self, paths: Sequence[str]) -> None:
        """sysusers.d files name users that other staged files belong to: they are read from objects, before staging."""
        if not paths:
            return
        from . import packages, staging

        staging.build(self.store, {path: {**self.wanted[path], "owner": "root", "group": "root"} for path in paths})
        packages.make_users([staging.staged_path(self.store, path) for path in paths])


class Channel:
    """Messages over two file descriptors. Sending to a controller that is gone is not an error: the work goes on."""

    def __init__(self, incoming: int, outgoing: int, first: frames.Message | None) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._first = first

    def receive(self) -> frames.Message | None:
        if self._first is not None:
            message, self._first = self._first, None
            return message
        return frames.read(lambda count: os.read(self._incoming, min(count, 1 << 16)))

    def wait(self, seconds: float) -> bool:
        """Whether a message, or the end, comes within ``seconds``."""
        return bool(select.select([self._incoming], [], [], seconds)[0])

    def send(self, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        remaining = frames.pack(header, blobs)
        try:
            while remaining:
                remaining = remaining[os.write(self._outgoing, remaining) :]
        except BrokenPipeError:
            return


def _differing(found: dict[str, Any], asked: dict[str, list[Any]], owned: dict[str, Any]) -> dict[str, Any]:
    """Contents of files that will change, so that a diff needs no second trip; never those of secret ones."""
    paths, contents = [], []
    for path, fact in found.items():
        wanted, secret = asked.get(path, ["", False])
        if secret or owned.get(path, {}).get("secret") or fact.get("sha256") == wanted:
            continue
        content = facts.content_for_diff(path, fact)
        if content is not None:
            paths.append(path)
            contents.append(content)
    return {"content_paths": paths, "contents": contents}


def _refuse_newer() -> None:
    """What a newer smtpctl left, finished or not, is not for this one to read, and least of all to lead back."""
    for record in (records.journal(), records.current()):
        if record is not None and record.get("protocol", PROTOCOL) > PROTOCOL:
            release = record.get("release", "a newer version")
            raise StepError(
                "version",
                f"smtpctl {release} changed this host last and left records of version {record['protocol']}; "
                f"this one reads version {PROTOCOL}: upgrade it",
            )


def _entry(journal: dict[str, Any]) -> dict[str, Any]:
    names = ("number", "revision", "previous", "kind", "who", "begun", "changed", "undone", "reason", "problems", "run")
    return {name: journal[name] for name in names if name in journal}


def open_channel(first: frames.Message | None) -> Channel:
    """The controller's stream, moved away from descriptors 0 and 1, so that no child can read or write it."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return Channel(incoming, outgoing, first)
