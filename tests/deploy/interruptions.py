"""Interruptions at random steps: what is interrupted, how, and when, from a seed; and what has to hold after each.

Three hosts are brought from one state to the other, and something breaks meanwhile. Afterwards every host is wholly in
one of the two, and the next apply finishes the job without help.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess

from smtpctl.model.artifacts import Action, DesiredHost, Service
from smtpctl.model.records import Event, Outcome
from tests.deploy.conftest import HAPROXY_SERVICE, HOSTS, Bench, desired, file, greets, haproxy

KINDS = ("kill", "cut", "power", "full")

#: Steps that an apply of these hosts reports, and how many more where a unit changes, which is then watched.
STEPS, STEPS_OF_RESTART = 24, 6

#: No step but the watch takes longer.
STEP_SECONDS = 0.3

#: Short, so that a host whose controller is gone does not keep a round waiting; the job is finished with the usual one.
CONFIRM_SECONDS = 1.0

#: Writes down which file it runs on, when it starts and when it reads it again.
UNIT = """\
[Service]
ExecStart=/bin/sleep 1000{unit}
ExecStartPost={read}
ExecReload={read}
[Install]
WantedBy=multi-user.target
"""
READ = "/bin/sh -c 'head -qn 1 /etc/trial/* > /run/trial'"
TRIAL = Service("trial.service", 30, (("/etc/trial/*", Action.RELOAD),))

#: What a host shows of its state: files, services and what they run on, the revision, and nothing left over.
LOOK = """\
grep -o '127.0.0.1:80..' /etc/haproxy/haproxy.cfg; ls /etc/trial; cat /etc/trial/* | wc -c
systemctl show -P ExecStart trial.service | grep -o 'sleep 1000[12]'
systemctl is-active haproxy trial; cat /run/trial; pgrep -x -a sleep | grep -o 'sleep 1000[12]'
ss -Hltn 'sport >= 8080 and sport <= 8081' | grep -o '127.0.0.1:80..'
ls /var/lib/smtpctl/revisions | tail -1 | cut -d- -f2
find /etc -name '*smtpctl-new' -o -name '*smtpctl-old'
"""

#: Somebody works on a host, or a change waits there to be confirmed or led back.
UNSETTLED = "pgrep -f 'smtpctl-agen[t]' || test -e /var/lib/smtpctl/journal.json && echo unsettled"


@dataclass(frozen=True, slots=True)
class State:
    """What hosts are brought to: a port, which is a changed file, a new file and two reloads; and a unit."""

    port: int = 8080
    unit: int = 1

    def next(self, *, restart: bool) -> State:
        """The other port; with ``restart`` the other unit, too."""
        return State(16_161 - self.port, 3 - self.unit if restart else self.unit)

    def of(self, host: str) -> DesiredHost:
        return desired(
            host,
            haproxy(self.port),
            file(f"/etc/trial/{self.port}", f"{self.port}\n" * 20_000),
            file("/etc/systemd/system/trial.service", UNIT.format(unit=self.unit, read=READ)),
            services=[HAPROXY_SERVICE, TRIAL],
            probes=[greets(self.port)],
        )

    def shown(self, host: str) -> list[str]:
        """What LOOK finds on a host that is wholly in this state."""
        place, port, runs = f"127.0.0.1:{self.port}", f"{self.port}", ["sleep", f"1000{self.unit}"]
        revision = f"{self.of(host).revision}.json"
        return [place, port, "100000", *runs, "active", "active", port, *runs, place, revision]


@dataclass(frozen=True, slots=True)
class Interruption:
    """What breaks, on which host, and when: ``delay`` seconds after so many ``steps`` were reported. ``size`` is what a
    full disk has left, in KB. The apply: hosts ``together`` or one after the other, with a ``restart`` or without."""

    kind: str
    host: str
    steps: int
    delay: float
    size: int
    together: bool
    restart: bool

    @classmethod
    def of(cls, seed: int) -> Interruption:
        draw = random.Random(seed)
        restart = draw.random() < 0.25
        return cls(
            draw.choice(KINDS),
            draw.choice(HOSTS),
            draw.randrange(STEPS + STEPS_OF_RESTART * restart),
            draw.uniform(0.0, STEP_SECONDS),
            draw.randrange(0, 300, 4),
            draw.random() < 0.5,
            restart,
        )

    def __str__(self) -> str:
        when = f"{self.size} KB left" if self.kind == "full" else f"{self.delay:.2f} s after step {self.steps}"
        how = f"{'together' if self.together else 'in turn'}{', with a restart' if self.restart else ''}"
        return f"{self.kind} {'controller' if self.kind == 'kill' else self.host}, {when}, {how}"


@dataclass
class Rounds:
    """Hosts that go to and fro between states."""

    bench: Bench
    state: State = field(default_factory=State)
    settled: bool = False
    left: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def run(self, interruption: Interruption) -> list[str]:
        """One round; what does not hold after it, in words. Where each host was ``left`` can be seen then."""
        self.problems = []
        if not self.settled:
            self._finish(self.state)
        before, self.state = self.state, self.state.next(restart=interruption.restart)
        self._interrupt(interruption)
        names = {before: "old", self.state: "new"}
        for host, found in self._each(lambda host: self._found_settled(host, tuple(names))):
            if isinstance(found, str):
                self.problems.append(f"{host} is neither old nor new: {found}")
            self.left[host] = found if isinstance(found, str) else names[found]
        self._finish(self.state)
        self.settled = not self.problems
        return self.problems

    def _interrupt(self, interruption: Interruption) -> None:
        ways: Mapping[str, Callable[[Interruption, ForkProcess], None]] = {
            "kill": self._kill,
            "cut": self._cut,
            "power": self._power,
        }
        if interruption.kind == "full":
            self._fill(interruption)
        heard, told = os.pipe()
        controller = multiprocessing.get_context("fork").Process(target=self._change, args=(interruption, told))
        controller.start()
        os.close(told)
        try:
            if interruption.kind in ways:
                _await(heard, interruption)
                ways[interruption.kind](interruption, controller)
            controller.join(180)
            if controller.is_alive():
                self.problems.append("the controller did not end")
        finally:
            os.close(heard)
            controller.kill()
            controller.join()
            controller.close()
            if interruption.kind == "full":
                self._empty(interruption)

    def _change(self, interruption: Interruption, told: int) -> None:
        """The apply that is interrupted, in a process of its own: a byte to ``told`` for each step."""

        def tell(event: Event) -> None:
            os.write(told, b".")

        self.bench.apply(
            *(self.state.of(host) for host in HOSTS),
            confirm_seconds=CONFIRM_SECONDS,
            together=interruption.together,
            on_event=tell,
        )

    def _kill(self, interruption: Interruption, controller: ForkProcess) -> None:
        if controller.pid is not None and controller.is_alive():
            os.kill(controller.pid, signal.SIGKILL)

    def _cut(self, interruption: Interruption, controller: ForkProcess) -> None:
        self.bench.run(interruption.host, "pkill -KILL -f '^sshd-session: root'", check=False)

    def _power(self, interruption: Interruption, controller: ForkProcess) -> None:
        self.bench.lab.stop_host(interruption.host)
        self.bench.lab.start_host(interruption.host)

    def _fill(self, interruption: Interruption) -> None:
        """A small disk of its own for what smtpctl keeps, with little left on it."""
        self.bench.run(
            interruption.host,
            "cd /var/lib; used=$(du -sk smtpctl | cut -f1); rm -rf /root/saved; cp -a smtpctl /root/saved; "
            f"mount -t tmpfs -o size=$((used + {interruption.size}))k,mode=700 tmpfs smtpctl && "
            "cp -a /root/saved/. smtpctl",
        )

    def _empty(self, interruption: Interruption) -> None:
        """The disk has room again, and what is on it stays."""
        self.bench.eventually(lambda: not self._works(interruption.host))
        self.bench.run(
            interruption.host,
            "cd /var/lib; rm -rf /root/saved; cp -a smtpctl /root/saved; umount -l smtpctl; rm -rf smtpctl; "
            "mv /root/saved smtpctl",
        )

    def _works(self, host: str) -> bool:
        return self.bench.run(host, "pgrep -f 'smtpctl-agen[t]'", check=False) != ""

    def _found_settled(self, host: str, states: Sequence[State]) -> State | str:
        """That of ``states`` which ``host`` is in once it has settled; else what is there instead."""
        try:
            self.bench.eventually(lambda: not self.bench.run(host, UNSETTLED, check=False), within=90)
        except AssertionError:
            return "an unfinished change that nobody leads back"
        return self._found(host, states)

    def _found(self, host: str, states: Sequence[State]) -> State | str:
        """That of ``states`` which ``host`` is in; else what is there instead. A host that was just switched on is
        still starting its services, and a server that was reloaded is still closing its old port."""
        whole = [state.shown(host) for state in states]
        end = time.monotonic() + 60
        while (found := self.bench.run(host, LOOK, check=False).split()) not in whole:
            if time.monotonic() > end:
                return " ".join(found) or "nothing"
            time.sleep(0.2)
        return states[whole.index(found)]

    def _finish(self, state: State) -> None:
        """The next apply does the job, and all hosts are where it says."""
        results = self.bench.apply(*(state.of(host) for host in HOSTS), together=True)
        if not {result.outcome for result in results.values()} <= {Outcome.APPLIED, Outcome.UNCHANGED}:
            words = [f"{result.host}: {result.outcome}: {result.step}: {result.detail}" for result in results.values()]
            self.problems.append(f"the next apply does not finish the job: {'; '.join(words)}")
        for host, found in self._each(lambda host: self._found(host, [state])):
            if found != state:
                self.problems.append(f"{host} is not in {state} after the next apply: {found}")

    def _each(self, look: Callable[[str], State | str]) -> list[tuple[str, State | str]]:
        """What ``look`` finds on every host, at the same time."""
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            return list(zip(HOSTS, pool.map(look, HOSTS), strict=True))


def _await(heard: int, interruption: Interruption) -> None:
    """Until so many steps were reported, or the controller is at its end; and the moment longer."""
    left = interruption.steps
    while left and (steps := os.read(heard, left)):
        left -= len(steps)
    time.sleep(interruption.delay)
