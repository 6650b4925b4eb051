"""From what hosts and ledger say to what is wrong: the lines of `smtpctl status`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: What counts as wrong. Mail that is older than this waits for a person; a certificate is renewed before.
OLD_MESSAGE = 4 * 3600
CERTIFICATE_DAYS = 14
LEAST_FREE = 0.1
LEDGER_LAG = 900


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of attempts towards the outside in the last minutes, of one stream to one provider."""

    stream: str
    provider: str
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    #: Seconds from the queue to the provider's answer.
    median: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on one screen. ``problems`` is empty when all is well."""

    flows: list[Flow] = field(default_factory=list)
    #: Messages that applications submitted in the last minutes, by stream.
    accepted: dict[str, int] = field(default_factory=dict)
    #: Keys of limits with little room left (key, limit, used, room). A full quota is no fault of the fleet's.
    limits: list[Mapping[str, Any]] = field(default_factory=list)
    #: Critical incidents of the last day that nobody has acknowledged. They are a person's to judge, not a fault.
    incidents: list[Mapping[str, Any]] = field(default_factory=list)
    hosts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    lag: dict[str, float] = field(default_factory=dict)
    #: Files of the host's revision that are not as smtpctl left them, by host.
    drift: dict[str, int] = field(default_factory=dict)
    ledger: str = ""
    problems: list[str] = field(default_factory=list)


def flows_of(rows: Sequence[Mapping[str, Any]]) -> list[Flow]:
    """Flows out of the ledger's rows by stream, provider and status."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        flow = found.setdefault((row["stream"], row["provider"]), {})
        name = {"sent": "delivered", "deferred": "deferred", "bounced": "bounced", "expired": "bounced"}.get(
            row["status"]
        )
        if name is None:
            continue
        flow[name] = flow.get(name, 0) + row["attempts"]
        if name == "delivered":
            flow |= {"median": row["delay_median"], "high": row["delay_p99"]}
    return [Flow(stream, provider, **values) for (stream, provider), values in sorted(found.items())]


def problems_of(status: Status, virtual_address: str, balancers: Sequence[str]) -> list[str]:
    """What is wrong, a sentence each, worst first."""
    found = [f"{host} does not answer: {why}" for host, why in status.silent.items()]
    if status.ledger:
        found.append(f"the ledger does not answer: {status.ledger}")
    for host, state in status.hosts.items():
        found += _of_host(host, state)
    holders = [host for host in balancers if status.hosts.get(host, {}).get("holds_virtual_address")]
    if virtual_address and len(holders) != 1:
        is_whole = not set(balancers) & set(status.silent)
        nobody = "nobody" if is_whole else "no host that answers"
        found.append(f"the virtual address {virtual_address} is held by {' and '.join(holders) or nobody}")
    found += [
        f"{host}: the ledger is {lag / 60:.0f} minutes behind" for host, lag in status.lag.items() if lag > LEDGER_LAG
    ]
    found += [f"{host}: {count} changes by hand, see smtpctl drift" for host, count in status.drift.items() if count]
    return found


def _of_host(host: str, state: Mapping[str, Any]) -> list[str]:
    found = [f"{host}: {unit} has failed" for unit in state["failed_units"]]
    for name in ("disk", "inodes"):
        if state[f"{name}_free"] < LEAST_FREE:
            found.append(f"{host}: {name} {state[f'{name}_free']:.0%} free under /var/spool")
    for instance, queues in state["queues"].items():
        oldest = min((queue["oldest"] for queue in queues.values() if queue["oldest"] is not None), default=None)
        if oldest is not None and state["now"] - oldest > OLD_MESSAGE:
            found.append(f"{host}: {instance} has mail that came {(state['now'] - oldest) / 3600:.0f} hours ago")
    for path, end in state["certificates"].items():
        left = days_left(end, state["now"])
        if left is None or left < CERTIFICATE_DAYS:
            found.append(
                f"{host}: certificate {path} {'is unreadable' if left is None else f'ends in {left:.0f} days'}"
            )
    return found


def first_end(state: Mapping[str, Any]) -> float | None:
    """Days until the first of a host's certificates ends; None where it has none that can be read."""
    left = [days for end in state["certificates"].values() if (days := days_left(end, state["now"])) is not None]
    return min(left, default=None)


def days_left(end: str, now: float) -> float | None:
    """Days until a certificate ends; None where openssl said something else."""
    try:
        return (datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp() - now) / 86400
    except ValueError:
        return None
