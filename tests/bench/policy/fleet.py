"""Submission through both edges of the lab, with the policy service and without it: messages a second and CPU. Edge.

Applications sign in under TLS, as they do; Postfix has each message checked for its From and signed twice. Without the
service a constant names the way to the pool that the service's answer names, so that what follows is the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab.application import connect
from smtpctl.render.context import POLICY_SERVICE
from tests.bench import figures
from tests.bench.apply.stage import Stage, stage
from tests.bench.figures import Figure
from tests.lab.support import AppliedFleet, smtpctl, until

EDGES = ("edge1", "edge2")
SENDER = "orders@shop.test"
#: Threads that send, half of them to each edge.
SESSIONS = 20
#: What one session sends before it ends.
EACH = 5
ROUNDS = 3

MAIN = "/etc/postfix-submission/main.cf"

POSTFIX, POLICY, DATABASE = "postfix@submission.service", "smtpctl-policy.service", "postgresql@17-main.service"


@dataclass(frozen=True, slots=True)
class Flow:
    """Messages a second until the last has left the edges; CPU microseconds a message of Postfix, and of the service
    with the database (which the ledger's shippers use as well)."""

    per_second: float
    postfix: float
    service: float
    database: float


def through_both_edges(messages: int = 400) -> list[Figure]:
    """Boot a lab, apply its inventory, and send so many messages a round, in turns with the service and without."""
    with stage() as made:
        made.fresh()
        applied = _applied(made)
        with applied.lab.entered():
            _flow(applied, messages)  # every credential is known, every process runs
            asked, unasked = [], []
            for _ in range(ROUNDS):
                asked.append(_flow(applied, messages))
                with _not_asked(applied):
                    unasked.append(_flow(applied, messages))
    return _figures(asked, unasked)


def _figures(asked: Sequence[Flow], unasked: Sequence[Flow]) -> list[Figure]:
    postfix, service = median(flow.postfix for flow in asked), median(flow.service for flow in asked)
    ours, peer = (median(flow.per_second for flow in flows) for flows in (asked, unasked))
    return [
        figures.more("messages/s through submission, without", ours, peer, 0.95),
        figures.shown("CPU of submission's Postfix a message", postfix, "us"),
        figures.shown("CPU of the service there a message", service, "us"),
        figures.shown("of Postfix's own", 100 * service / postfix, "%"),
        figures.shown("CPU of the database with the ledger a message", median(flow.database for flow in asked), "us"),
    ]


def _applied(made: Stage) -> AppliedFleet:
    made.smtpctl("lab", "dns")
    made.smtpctl("apply", str(made.inventory), "--yes")
    applied = AppliedFleet(made.lab, load_fleet(made.inventory), read_secrets(made.inventory), made.inventory)
    with made.lab.entered():
        applied.wait_until_ready()
    return applied


def _flow(applied: AppliedFleet, messages: int) -> Flow:
    each = messages // SESSIONS

    def send(number: int) -> None:
        place = applied.place(address=applied.fleet.hosts[EDGES[number % len(EDGES)]].address)
        for _ in range(each // EACH):
            with connect(place) as session:
                for count in range(EACH):
                    recipient = f"box{number}.{count}@{('gmail', 'outlook', 'yahoo')[count % 3]}.test"
                    session.sendmail(SENDER, [recipient], applied.message(SENDER, recipient).as_bytes())

    before, began = _used(applied), time.monotonic()
    with ThreadPoolExecutor(SESSIONS) as pool:
        for done in [pool.submit(send, number) for number in range(SESSIONS)]:
            done.result()
    until(lambda: _empty(applied), "the edges' queues do not empty")
    took, after = time.monotonic() - began, _used(applied)
    sent = SESSIONS * (each // EACH) * EACH
    return Flow(sent / took, *((end - start) / sent for start, end in zip(before, after, strict=True)))


def _used(applied: AppliedFleet) -> tuple[float, float, float]:
    """CPU microseconds so far: of Postfix and of the policy service on both edges, of PostgreSQL on control."""
    edges = [[_unit(applied, host, unit) for host in EDGES] for unit in (POSTFIX, POLICY)]
    return sum(edges[0]), sum(edges[1]), _unit(applied, "control1", DATABASE)


def _unit(applied: AppliedFleet, host: str, unit: str) -> float:
    group = applied.lab.run(host, ["systemctl", "show", "--property", "ControlGroup", "--value", unit]).stdout.strip()
    counters = applied.lab.run(host, ["cat", f"/sys/fs/cgroup{group}/cpu.stat"]).stdout.split()
    return float(counters[counters.index("usage_usec") + 1])


def _empty(applied: AppliedFleet) -> bool:
    listing = ["postqueue", "-c", "/etc/postfix-submission", "-j"]
    return not any(applied.lab.run(host, listing).stdout for host in EDGES)


@contextmanager
def _not_asked(applied: AppliedFleet) -> Iterator[None]:
    """Both edges' Postfix names the pool itself while the block runs."""
    answer = _answer(applied)
    before = {host: applied.lab.run(host, ["cat", MAIN]).stdout for host in EDGES}
    try:
        for host, text in before.items():
            assert POLICY_SERVICE in text
            _reload(applied, host, text.replace(POLICY_SERVICE, f"check_recipient_access static:{{{answer}}}"))
        yield
    finally:
        for host, text in before.items():
            _reload(applied, host, text)


def _answer(applied: AppliedFleet) -> str:
    """What the service answers to a message of the application: ``FILTER`` and the pool."""
    asked = ["--credential", "shop", "--sender", SENDER, "--recipient", "box@gmail.test"]
    found = smtpctl("policy", "explain", str(applied.inventory), *asked).stdout
    return found.partition("answer: ")[2].partition("\n")[0]


def _reload(applied: AppliedFleet, host: str, text: str) -> None:
    applied.lab.run(host, ["tee", MAIN], input=text)
    applied.lab.run(host, ["postfix", "-c", "/etc/postfix-submission", "reload"])
