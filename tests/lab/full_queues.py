"""Full queues on two relays: every queue command on them, timed; then a relay is emptied and switched off with mail
flowing, and every message is counted at the provider.

A message is known by a number in its recipient. What is done to it follows from its sender, so that every command also
has to find what it is about among all the others.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from smtpctl.lab.application import compose, submit
from tests.lab.queue_files import DIGITS, fill
from tests.lab.support import REPOSITORY, AppliedFleet, until
from tests.lab.traffic import SteadyMail

RELAYS = ("relay1", "relay2")
PROVIDER, DOMAIN = "google", "googlemail.test"

#: Local parts of senders: what becomes of their messages.
KEPT, DELETED, BOUNCED, REQUEUED, RETRIED = "keepers", "deletes", "bounces", "requeue", "retries"

#: Numbers of messages that were really sent begin here; copies have those below.
SENT = 900_000_000

#: No command takes more memory than so many megabytes, however long the queues are.
MEMORY = 150

#: Without one message more at the provider for so long, no more will come.
STUCK = 300.0


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool, and a credential whose mail it carries, from a domain."""

    name: str
    credential: str
    domain: str


class FullQueues:
    """``messages`` on the relays of a fleet; ``parts`` says how many of them come from which sender but KEPT."""

    def __init__(
        self,
        applied: AppliedFleet,
        pools: tuple[Pool, ...],
        messages: int,
        parts: dict[str, int],
        seed: int,
        tell: Callable[[str], object],
    ) -> None:
        self._applied, self._pools, self._messages, self._parts = applied, pools, messages, parts
        self._lot = random.Random(seed)
        self._tell = tell
        #: number -> local part of its sender
        self._numbers: dict[str, str] = {}
        self._in_pool: Counter[str] = Counter()
        self._sent = itertools.count(SENT)
        #: Recipients begin with it: on a lab that is kept, those of an earlier run have another.
        self._mark = f"ada+{uuid.uuid4().hex[:8]}."
        self._before = applied.lab.mail_count(DOMAIN)

    def run(self) -> None:
        """All of it. Raise AssertionError with what was lost, came twice, or came though it was not to."""
        # 1: a busy host says that its queues come to it soon; what is sent below is waited for
        self._command("pause", "provider", PROVIDER, codes=(0, 1))
        self._timed("fill", self._fill)
        self._look()
        self._act()
        gone = self._lot.choice(RELAYS)
        mail = SteadyMail(self._applied, rate=2.0)
        with mail.flowing():
            self._command("queue", "drain", gone, "--yes")
            self._applied.lab.stop_host(gone)
            until(lambda: not self._applied.lab.is_on(gone), f"{gone} does not end")
        # the one that is off cannot be told, and need not be
        self._command("resume", "provider", PROVIDER, codes=(1,))
        self._timed("deliver", self._deliver)
        self._require_each_once()
        mail.require_whole()
        self._tell(f"{len(self._wanted)} messages at the provider exactly once, and {len(mail.accepted)} of the flow")

    # -- what waits

    def _fill(self) -> None:
        """Have every pool of both relays hold its share."""
        share = self._messages // (len(RELAYS) * len(self._pools))
        parts = {sender: count // (len(RELAYS) * len(self._pools)) for sender, count in self._parts.items()}
        templates = [(pool, host, number) for (pool, host), number in self._templates().items()]
        with ThreadPoolExecutor(len(RELAYS)) as workers:
            for filled in [
                workers.submit(fill, self._applied.lab, host, pool.name, number, place * share, share, KEPT, parts)
                for place, (pool, host, number) in enumerate(templates)
            ]:
                filled.result()
        for place, (pool, _, _) in enumerate(templates):
            names = iter(range(place * share, (place + 1) * share))
            for sender, count in (*parts.items(), (KEPT, share - sum(parts.values()))):
                for _ in range(count):
                    self._add(f"{next(names):0{DIGITS}}", pool, sender)

    def _add(self, number: str, pool: Pool, sender: str) -> None:
        self._numbers[number] = sender
        self._in_pool[pool.name] += 1

    def _templates(self) -> dict[tuple[Pool, str], str]:
        """Send until a message of each pool waits on each relay, since HAProxy chooses which one gets it; the number of
        one by pool and host."""
        sent: dict[str, Pool] = {}
        found: dict[tuple[Pool, str], str] = {}
        for _ in range(10):
            for pool in self._pools:
                for _ in range(4):
                    sent[self._send(pool)] = pool
            until(lambda: len(self._hosts()) == len(sent), "what was sent does not wait on the relays")
            for number, host in self._hosts().items():
                found.setdefault((sent[number], host), number)
            if len(found) == len(self._pools) * len(RELAYS):
                return found
        raise AssertionError(f"messages came to {[(pool.name, host) for pool, host in found]} only")

    def _send(self, pool: Pool) -> str:
        number = str(next(self._sent))
        sender, recipient = f"{KEPT}@{pool.domain}", f"{self._mark}{number}@{DOMAIN}"
        message = compose(sender, [recipient], "A test", identity=f"{number}@{pool.domain}")
        submit(self._applied.place(pool.credential), message, sender=sender, recipients=[recipient])
        self._add(number, pool, KEPT)
        return number

    def _hosts(self) -> dict[str, str]:
        """The numbers of messages that were put off on a relay, with its name."""
        chosen = ("--domain", DOMAIN, "--queue", "deferred", "--host", RELAYS[0], "--host", RELAYS[1])
        messages = map(json.loads, self._smtpctl("queue", "list", "--json", *chosen)[0].splitlines())
        found = {message["recipients"][0]["address"]: str(message["host"]) for message in messages}
        return {to[len(self._mark) :][:DIGITS]: host for to, host in found.items() if to.startswith(self._mark)}

    # -- commands

    def _look(self) -> None:
        """What only looks, at all of it."""
        listed = Counter(json.loads(line)["host"] for line in self._command("queue", "list", "--json").splitlines())
        assert sum(listed.values()) >= len(self._numbers), f"{listed} of {len(self._numbers)} are listed"
        self._command("queue", "list")
        for by in ("provider", "reply"):
            groups = json.loads(self._command("queue", "top", "--by", by, "--json"))["groups"]
            assert sum(group["messages"] for group in groups) >= len(self._numbers), (by, groups)
        one = f"{self._mark}{self._lot.choice(sorted(self._numbers))}@{DOMAIN}"
        shown = self._command("queue", "show", "--address", one, "--content")
        assert one in shown, shown

    def _act(self) -> None:
        """What acts, each on its part; each takes every one of it, and the counts say so."""
        pool = self._lot.choice(self._pools).name
        self._acts("hold", self._in_pool[pool], "--pool", pool, "--domain", DOMAIN)
        self._acts("release", self._in_pool[pool], "--pool", pool, "--domain", DOMAIN)
        for action, sender in (("delete", DELETED), ("requeue", REQUEUED), ("retry", RETRIED), ("bounce", BOUNCED)):
            self._acts(action, self._count(sender), *self._from(sender))
        until(lambda: not self._smtpctl("queue", "list", *self._from(BOUNCED))[0], "bounced messages wait", 600)

    def _from(self, sender: str) -> list[str]:
        """The options that choose what a local part sent."""
        domains = sorted({pool.domain for pool in self._pools})
        return [word for domain in domains for word in ("--sender", f"{sender}@{domain}")]

    def _count(self, sender: str) -> int:
        return sum(mine == sender for mine in self._numbers.values())

    def _acts(self, action: str, count: int, *chosen: str) -> None:
        answer = json.loads(self._command("queue", action, *chosen, "--yes", "--json"))
        acted = sum(sum(instances.values()) for instances in answer["acted"].values())
        assert (answer["selected"], acted) == (count, count), answer

    def _command(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command as an operator would, and tell what it took: here, and on the relays."""
        began, hosts = time.monotonic(), self._used()
        text, seconds, memory = self._smtpctl(*words, codes=codes)
        relays = " + ".join(f"{now - before:.1f}" for before, now in zip(hosts, self._used(), strict=True))
        peak = f", {memory} MB" if memory else ""
        self._tell(
            f"{time.monotonic() - began:8.1f} s; CPU {seconds:.1f} s here{peak}, {relays} s on the relays: "
            f"smtpctl {' '.join(words)}"
        )
        assert memory < MEMORY, f"{memory} MB: smtpctl {' '.join(words)}"
        return text

    def _smtpctl(self, *words: str, codes: tuple[int, ...] = (0,)) -> tuple[str, float, int]:
        """What a command prints, its CPU seconds, and the megabytes that it took at most while it printed."""
        command = [sys.executable, "-m", "smtpctl", *words, "-i", str(self._applied.inventory)]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            pieces, peak = [], 0
            while piece := process.stdout.read(1 << 16):
                pieces.append(piece)
                peak = max(peak, resident(process.pid))
            text, complaint = "".join(pieces), process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode in codes, f"{process.returncode}: {' '.join(command)}\n{text[-2000:]}{complaint}"
        return text, usage.ru_utime + usage.ru_stime, peak

    def _used(self) -> list[float]:
        """CPU seconds of everything on each relay so far; of one that is off, none."""
        lab = self._applied.lab
        texts = [lab.run(host, ["cat", "/sys/fs/cgroup/cpu.stat"]).stdout if lab.is_on(host) else "" for host in RELAYS]
        return [int(text.split()[1]) / 1e6 if text else 0.0 for text in texts]

    def _timed(self, what: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        work()
        self._tell(f"{time.monotonic() - began:8.1f} s: {what}")

    # -- the end

    @property
    def _wanted(self) -> set[str]:
        return {number for number, sender in self._numbers.items() if sender not in (DELETED, BOUNCED)}

    def _deliver(self) -> None:
        """Wait until so many messages have come as there are, or no more come."""
        count, since = -1, time.monotonic()
        while count < len(self._wanted) and time.monotonic() - since < STUCK:
            time.sleep(1.0)
            if (now := self._applied.lab.mail_count(DOMAIN) - self._before) > count:
                count, since = now, time.monotonic()

    def _require_each_once(self) -> None:
        arrived, wanted = self._arrived(), self._wanted
        problems = [f"lost: {number}" for number in wanted - arrived.keys()]
        problems += [f"{copies} times: {number}" for number, copies in arrived.items() if copies != 1]
        problems += [f"{self._numbers[number]}, and came: {number}" for number in arrived.keys() - wanted]
        assert not problems, f"{len(problems)} of {len(wanted)}\n" + "\n".join(problems[:20])

    def _arrived(self) -> Counter[str]:
        """Numbers of recipients, once for each delivery. Only the head of each file is read: there are many."""
        found: Counter[str] = Counter()
        start = f"X-Original-To: {self._mark}".encode()
        for path in (self._applied.lab._mail_folder() / DOMAIN / "new").iterdir():
            with path.open("rb") as file:
                found[file.read(2048).partition(start)[2][:DIGITS].decode()] += 1
        del found[""]
        return found


def resident(process: int) -> int:
    """Megabytes that a process has had at most; 0 of one that has ended. What wait4(2) says counts its parent's."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.M)
    return int(found[1]) >> 10 if found else 0
