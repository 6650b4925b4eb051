"""What grows with the fleet, and the smallest command: a thousand hosts rendered, sixty planned, ``--help``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.bench.apply import fleets
from tests.bench.apply.stage import REPOSITORY, SMTPCTL, Stage, median, note
from tests.bench.figures import Figure, at_most, quicker, shown

_RENDER_THOUSAND = """
import resource, sys, time
from pathlib import Path
from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet
fleet = load_fleet(Path(sys.argv[1]))
began, processor = time.perf_counter(), time.process_time()
hosts = render_fleet(fleet, Secrets({}, placeholders=True))
seconds, processor = time.perf_counter() - began, time.process_time() - processor
assert len(hosts) == 1000
print(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def help_page() -> Iterator[Figure]:
    """The overview of all commands, from the start of the process to its end."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([*SMTPCTL, "--help"], cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    yield at_most("smtpctl --help", 1000 * statistics.median(times), 150, "ms")


def thousand() -> Iterator[Figure]:
    """A thousand hosts rendered; no template is compiled yet."""
    note("rendering of 1,000 hosts")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as inventory:
        inventory.write(fleets.inventory(1000))
        inventory.flush()
        command = [sys.executable, "-c", _RENDER_THOUSAND, inventory.name]
        answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    seconds, processor, megabytes = map(float, answer.stdout.split())
    yield at_most("1,000 hosts rendered", seconds, 5)
    yield shown("CPU for that", processor)
    yield at_most("memory for that", megabytes, 200, "MB")


def sixty(stage: Stage, repeat: int) -> Iterator[Figure]:
    """Sixty hosts against six of the same inventory, both on the lab's machines, each under several addresses."""
    _add_addresses(stage, 60)
    seconds = {}
    for count in (6, 60):
        inventory = stage.folder / f"fleet{count}.yml"
        inventory.write_text(fleets.inventory(count, ssh={"user": "root", "via": "lab"}))
        stage.smtpctl("secrets", "init", str(inventory))
        note(f"plan of {count} hosts")
        seconds[count] = median([stage.smtpctl("plan", str(inventory)) for _ in range(repeat)]).seconds
    yield quicker("plan of 60 hosts, against 10 x six", seconds[60], 10 * seconds[6], 1)


def _add_addresses(stage: Stage, count: int) -> None:
    """Give the lab's machines the addresses of a fleet of ``count`` hosts, in turn."""
    lines = stage.state.known_hosts.read_text().splitlines()
    known = {line.split()[0].split(",")[-1]: line.split(None, 1)[1] for line in lines}
    machines = [(name, address) for name, address in stage.lab.addresses.items() if address in known]
    for number in range(count):
        name, own = machines[number % len(machines)]
        address = fleets.address(number)
        stage.lab.run(name, ["ip", "address", "replace", f"{address}/16", "dev", "host0"])
        lines.append(f"{address} {known[own]}")
    stage.state.known_hosts.write_text("".join(f"{line}\n" for line in lines))
