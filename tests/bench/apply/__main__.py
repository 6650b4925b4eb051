"""``make bench-apply``: smtpctl beside Ansible, Ansible with mitogen, pyinfra and bare ssh, on the lab's six hosts.

All get the same files, as smtpctl renders them, in one run. ``--repeat N`` takes the median of N where one run is short
(Ansible, which takes a minute, runs once unless ``--thorough``); ``--only`` names parts.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from tests.bench.apply import fleets, latency, peers
from tests.bench.apply.peers import Peers
from tests.bench.apply.stage import REPOSITORY, SMTPCTL, Run, Stage, stage
from tests.bench.figures import Figure, at_most, conclude, missing, quicker, shown

#: Alone: what needs no lab. Then the four scenarios, round trips, and sixty hosts.
PARTS = ("alone", "first", "quiet", "diff", "line", "latency", "many")

#: What is asked of us against (pyinfra, Ansible).
TIMES = {"first apply": (2.5, 10), "nothing to change": (5, 40), "one line": (4, 20), "diff": (5, 40)}

_RENDER_THOUSAND = """
import resource, sys, time
from pathlib import Path
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet
fleet = load_fleet(Path(sys.argv[1]))
began = time.perf_counter()
hosts = render_fleet(fleet, Secrets({}, placeholders=True))
assert len(hosts) == 1000
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def note(text: str) -> None:
    """A line of progress."""
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def median(runs: Sequence[Run]) -> Run:
    """The run with the median of the seconds."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


class Bench:
    """All scenarios on one stage."""

    def __init__(self, stage: Stage, absent: dict[str, str], repeat: int, thorough: bool) -> None:
        self.stage = stage
        self.peers = Peers(stage)
        self.absent = absent
        self.repeat = repeat
        self.thorough = thorough
        self.rare = repeat if thorough else 1
        self.runs: dict[str, dict[str, Run]] = {}
        self.files = 0

    def measure(self, scenario: str, who: str, run: Callable[[], Run], repeat: int) -> None:
        """Note the median of some runs; nothing for a peer that could not be installed."""
        if who in self.absent:
            return
        note(f"{scenario}: {who}")
        self.runs.setdefault(scenario, {})[who] = median([run() for _ in range(repeat)])

    def apply(self) -> Run:
        return self.stage.smtpctl("apply", str(self.stage.inventory), "--yes")

    def plan(self) -> Run:
        return self.stage.smtpctl("plan", str(self.stage.inventory))

    def first(self) -> None:
        """From hosts that have their packages and nothing else; ours last, since the others then go on from there."""
        firsts: dict[str, Callable[[], Run]] = {
            "ansible": lambda: self.peers.ansible("-e", "make_folders=1"),
            "pyinfra": self.peers.pyinfra,
            "smtpctl": self.apply,
        }
        for who, run in firsts.items():
            self.stage.fresh()
            self.peers.describe()
            self.measure("first apply", who, run, 1)

    def again(self) -> None:
        """Nothing to change: every tool finds what smtpctl has left."""
        hosts = {name: list(desired.files) for name, desired in self.stage.rendered().items()}
        self.files = sum(map(len, hosts.values()))
        scenario = "nothing to change"
        self.measure(scenario, "smtpctl", self.apply, self.repeat)
        self.measure(scenario, "bare ssh", lambda: self.peers.bare_ssh(hosts), self.repeat)
        self.measure(scenario, "pyinfra", self.peers.pyinfra, self.repeat)
        self.measure(scenario, "ansible", self.peers.ansible, self.rare)
        if self.thorough:
            self.measure(scenario, "mitogen", lambda: self.peers.ansible(mitogen=True), 1)

    def difference(self) -> None:
        """One line differs on every host, and that is shown. The inventory is edited before each of our runs."""

        def ours() -> Run:
            self.stage.write_inventory(self.stage.days - 1)
            return self.plan()

        days = self.stage.days
        self.measure("diff", "smtpctl", ours, self.repeat)
        self.peers.describe()
        self.measure("diff", "pyinfra", lambda: self.peers.pyinfra("--dry", "--diff"), self.repeat)
        self.measure("diff", "ansible", lambda: self.peers.ansible("--check", "--diff"), self.rare)
        self.stage.write_inventory(days)

    def one_line(self) -> None:
        """One line changes on every host."""

        def changed(run: Callable[[], Run]) -> Callable[[], Run]:
            def change_and_run() -> Run:
                self.stage.change_a_line()
                self.peers.describe()
                return run()

            return change_and_run

        self.measure("one line", "ansible", changed(self.peers.ansible), self.rare)
        self.measure("one line", "pyinfra", changed(self.peers.pyinfra), self.repeat)
        self.stage.smtpctl("apply", str(self.stage.inventory), "--yes", "--take-over")
        self.measure("one line", "smtpctl", changed(self.apply), self.repeat)

    def figures(self) -> list[Figure]:
        """Ours against each peer in each scenario."""
        made = []
        for scenario, runs in self.runs.items():
            ours = runs["smtpctl"]
            for who, times in zip(("pyinfra", "ansible"), TIMES[scenario], strict=True):
                name = f"{scenario}, against {who}"
                if who in runs:
                    made.append(quicker(name, ours.seconds, runs[who].seconds, times))
                else:
                    made.append(missing(name, self.absent.get(who, "not measured")))
            if "mitogen" in runs:
                made.append(shown(f"{scenario}, against mitogen", ours.seconds, peer=runs["mitogen"].seconds))
            if "bare ssh" in runs:
                made.append(quicker(f"{scenario}, against six cold ssh", ours.seconds, runs["bare ssh"].seconds, 1))
            for who, run in runs.items():
                made.append(shown(f"{scenario}: CPU of {who}", run.processor))
                made.append(shown(f"{scenario}: traffic of {who}", run.kilobytes, "KB"))
        if quiet := self.runs.get("nothing to change"):
            made.append(at_most("traffic a managed file", quiet["smtpctl"].kilobytes / self.files, 1.2, "KB"))
        return made


def sixty(stage: Stage, repeat: int) -> Figure:
    """Sixty hosts against six of the same inventory, both on the lab's machines, each under several addresses."""
    known = {line.split()[0].split(",")[-1]: line.split(None, 1)[1] for line in _known_lines(stage)}
    machines = [address for address in known if address.startswith("10.78.0.") and address != "10.78.0.2"]
    names = {address: name for name, address in stage.lab.addresses.items()}
    lines = []
    for number in range(60):
        address, machine = fleets.address(number), machines[number % len(machines)]
        stage.lab.run(names[machine], ["ip", "address", "replace", f"{address}/16", "dev", "host0"])
        lines.append(f"{address} {known[machine]}")
    with stage.state.known_hosts.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    seconds = {}
    for count in (6, 60):
        inventory = stage.folder / f"fleet{count}.yml"
        inventory.write_text(fleets.inventory(count, ssh={"user": "root", "via": "lab"}))
        stage.smtpctl("secrets", "init", str(inventory))
        note(f"plan of {count} hosts")
        seconds[count] = median([stage.smtpctl("plan", str(inventory), codes=(0, 1)) for _ in range(repeat)]).seconds
    return quicker("plan of 60 hosts, against 10 x six", seconds[60], 10 * seconds[6], 1)


def _known_lines(stage: Stage) -> list[str]:
    return stage.state.known_hosts.read_text().splitlines()


def thousand() -> list[Figure]:
    """A thousand hosts rendered."""
    note("rendering of 1,000 hosts")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as inventory:
        inventory.write(fleets.inventory(1000))
        inventory.flush()
        command = [sys.executable, "-c", _RENDER_THOUSAND, inventory.name]
        answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, answer.stdout.split())
    return [at_most("1,000 hosts rendered", seconds, 5), at_most("memory for that", megabytes, 200, "MB")]


def help_page() -> Figure:
    """The overview of all commands, from the start of the process to its end."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([*SMTPCTL, "--help"], cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return at_most("smtpctl --help", 1000 * statistics.median(times), 150, "ms")


def round_trips(stage: Stage) -> list[Figure]:
    note("round trips")
    plan, apply = latency.round_trips(stage, "relay1")
    return [at_most("round trips of a plan", round(plan, 1), 8, ""), at_most("of an apply", round(apply, 1), 11, "")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-apply", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of what is quick; the median counts")
    parser.add_argument("--thorough", action="store_true", help="Ansible as often, and with mitogen")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="parts to measure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the lab goes down in any case
    absent = peers.install()
    made: list[Figure] = [help_page(), *thousand()] if "alone" in options.only else []
    with stage() as place:
        bench = Bench(place, absent, options.repeat, options.thorough)
        scenarios = {"first": bench.first, "quiet": bench.again, "diff": bench.difference, "line": bench.one_line}
        if "first" not in options.only:
            place.fresh()
            bench.peers.describe()
            bench.apply()
        for name, scenario in scenarios.items():
            if name in options.only:
                scenario()
        made += bench.figures()
        if "latency" in options.only:
            made += round_trips(place)
        if "many" in options.only:
            made.append(sixty(place, options.repeat))
    return conclude(made)


if __name__ == "__main__":
    sys.exit(main())
