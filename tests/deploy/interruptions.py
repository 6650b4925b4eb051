"""Interruptions at random moments: what is interrupted, how, and when, from a seed; and what has to hold after each.

Three hosts are brought from one state to the other, and something breaks meanwhile. Afterwards every host is wholly in
one of the two, and the next apply finishes the job without help.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess

from smtpctl.model.artifacts import Action, DesiredHost, Service
from smtpctl.model.records import Outcome
from tests.deploy.conftest import HAPROXY_SERVICE, HOSTS, Bench, desired, file, greets, haproxy

KINDS = ("kill", "cut", "power", "full")

#: An apply of these hosts takes less than this; later moments are after it.
LONGEST = 4.0

#: Short, so that a host whose controller is gone does not keep a round waiting.
CONFIRM_SECONDS = 3.0

UNIT = "[Service]\nExecStart=/bin/sleep 100{port}\n[Install]\nWantedBy=multi-user.target\n"
TRIAL = Service("trial.service", 30, (("/etc/trial/*", Action.RESTART),))


def state(host: str, port: int) -> DesiredHost:
    """One of the two states: they differ in files, in a file that is there, in a running service and in a unit."""
    return desired(
        host,
        haproxy(port),
        file(f"/etc/trial/{port}", f"{port}\n" * 20_000),
        file("/etc/systemd/system/trial.service", UNIT.format(port=port)),
        services=[HAPROXY_SERVICE, TRIAL],
        probes=[greets(port)],
    )


@dataclass(frozen=True, slots=True)
class Interruption:
    """What breaks, where, and when: seconds after the apply began. ``size`` is what a full disk has left, in KB."""

    kind: str
    host: str
    delay: float
    size: int

    @classmethod
    def of(cls, seed: int) -> Interruption:
        draw = random.Random(seed)
        return cls(draw.choice(KINDS), draw.choice(HOSTS), draw.uniform(0.0, LONGEST), draw.randrange(0, 400, 4))

    def __str__(self) -> str:
        when = f"{self.size} KB left" if self.kind == "full" else f"after {self.delay:.2f} s"
        return f"{self.kind} {'controller' if self.kind == 'kill' else self.host} {when}"


@dataclass
class Rounds:
    """Hosts that go to and fro between the two states."""

    bench: Bench
    port: int = 8080
    settled: bool = False
    problems: list[str] = field(default_factory=list)

    def run(self, interruption: Interruption) -> list[str]:
        """One round; what does not hold after it, in words."""
        self.problems = []
        if not self.settled:
            self._finish(self.port)
        target = 8081 if self.port == 8080 else 8080
        self._interrupt(interruption, target)
        for host in HOSTS:
            found = self._settled_state(host)
            if found not in ("8080", "8081"):
                self.problems.append(f"{host} is neither old nor new: {found}")
        self._finish(target)
        self.port = target
        self.settled = not self.problems
        return self.problems

    def _interrupt(self, interruption: Interruption, target: int) -> None:
        ways: Mapping[str, Callable[[Interruption, ForkProcess], None]] = {
            "kill": self._kill,
            "cut": self._cut,
            "power": self._power,
            "full": self._wait,
        }
        if interruption.kind == "full":
            self._fill(interruption)
        controller = multiprocessing.get_context("fork").Process(target=self._apply, args=(target,))
        controller.start()
        try:
            ways[interruption.kind](interruption, controller)
            controller.join(180)
            if controller.is_alive():
                self.problems.append("the controller did not end")
        finally:
            controller.kill()
            controller.join()
            controller.close()
            if interruption.kind == "full":
                self._empty(interruption)

    def _apply(self, port: int) -> dict[str, Outcome]:
        wanted = [state(host, port) for host in HOSTS]
        results = self.bench.apply(*wanted, confirm_seconds=CONFIRM_SECONDS)
        return {host: result.outcome for host, result in results.items()}

    def _kill(self, interruption: Interruption, controller: ForkProcess) -> None:
        time.sleep(interruption.delay)
        if controller.pid is not None and controller.is_alive():
            os.kill(controller.pid, signal.SIGKILL)

    def _cut(self, interruption: Interruption, controller: ForkProcess) -> None:
        time.sleep(interruption.delay)
        self.bench.run(interruption.host, "pkill -KILL -f '^sshd-session: root'", check=False)

    def _power(self, interruption: Interruption, controller: ForkProcess) -> None:
        time.sleep(interruption.delay)
        self.bench.lab.stop_host(interruption.host)
        self.bench.lab.start_host(interruption.host)

    def _wait(self, interruption: Interruption, controller: ForkProcess) -> None:
        controller.join(180)

    def _fill(self, interruption: Interruption) -> None:
        """A small disk of its own for what smtpctl keeps, with little left on it."""
        self.bench.run(
            interruption.host,
            "cd /var/lib; used=$(du -sk smtpctl | cut -f1); rm -rf /root/saved; cp -a smtpctl /root/saved; "
            f"mount -t tmpfs -o size=$((used + {interruption.size}))k,mode=700 tmpfs smtpctl; "
            "cp -a /root/saved/. smtpctl",
            check=False,
        )

    def _empty(self, interruption: Interruption) -> None:
        """The disk has room again, and what is on it stays."""
        self.bench.eventually(lambda: self._idle(interruption.host))
        self.bench.run(
            interruption.host,
            "cd /var/lib; rm -rf /root/saved; cp -a smtpctl /root/saved; umount -l smtpctl; rm -rf smtpctl; "
            "mv /root/saved smtpctl",
        )

    def _idle(self, host: str) -> bool:
        return self.bench.run(host, "pgrep -f 'smtpctl-agen[t]'", check=False) == ""

    def _settled_state(self, host: str) -> str:
        """The state of a host once nobody works on it any more, and no change waits to be confirmed or led back."""
        waiting = "test -e /var/lib/smtpctl/journal.json && echo waiting"
        try:
            self.bench.eventually(
                lambda: self._idle(host) and not self.bench.run(host, waiting, check=False), within=90
            )
        except AssertionError:
            return "an unfinished change that nobody leads back"
        # A host that has just been switched on again is still starting its services.
        end = time.monotonic() + 60
        while (found := self._state(host)) not in ("8080", "8081") and time.monotonic() < end:
            time.sleep(0.2)
        return found

    def _state(self, host: str) -> str:
        """``8080`` or ``8081``, or what there is instead: files, services, units and the revision, together."""
        look = (
            "grep -o '127.0.0.1:80..' /etc/haproxy/haproxy.cfg; ls /etc/trial; "
            "systemctl show -P ExecStart trial.service | grep -o '100808.'; "
            "systemctl is-active haproxy trial; pgrep -x -a sleep | grep -o '100808.'; "
            "ss -Hltn 'sport >= 8080 and sport <= 8081' | grep -o '127.0.0.1:80..'; "
            "ls /var/lib/smtpctl/revisions | tail -1 | cut -d- -f2; "
            "find /etc -name '*smtpctl-new' -o -name '*smtpctl-old'; cat /etc/trial/80* | wc -c"
        )
        found = self.bench.run(host, look, check=False).split()
        for port in ("8080", "8081"):
            place = f"127.0.0.1:{port}"
            revision = f"{state(host, int(port)).revision}.json"
            sleeps = f"100{port}"
            whole = [place, port, sleeps, "active", "active", sleeps, place, revision, str(len(port) * 20_000 + 20_000)]
            if found == whole:
                return port
        return " ".join(found)

    def _finish(self, port: int) -> None:
        """The next apply does the job, and all hosts are where it says."""
        outcomes = self._apply(port)
        if not set(outcomes.values()) <= {Outcome.APPLIED, Outcome.UNCHANGED}:
            self.problems.append(f"the next apply does not finish the job: {outcomes}")
        for host in HOSTS:
            if (found := self._state(host)) != str(port):
                self.problems.append(f"{host} is not on {port} after the next apply: {found}")
