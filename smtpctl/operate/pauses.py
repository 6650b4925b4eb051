"""The stop button over the fleet: every host is told at once, and each tells what it knows. Edge: connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smtpctl.operate.visits import Visits
from smtpctl.transport.agent.pauses import Record, merge
from smtpctl.transport.host import Host

#: Seconds that a host has to come to a pause.
PATIENCE = 5.0

#: Queue ids to put on hold, by host and ``PAUSE/INSTANCE``.
Held = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the hosts know, and those that have not come to it in time."""

    records: list[Record]
    late: list[str]


def tell(visits: Visits, records: Sequence[Record], held: Held | None = None) -> Told:
    """Tell every host of ``records``, and wait until their queues have come to them. What one host knows and others do
    not is told to these as well: whoever presses a button brings the fleet in step."""
    answers = _ask(visits, records, held or {})
    known: list[Record] = []
    for answer in answers.values():
        known = merge(known, answer.records)
    behind = {name for name, answer in answers.items() if merge(answer.records, known) != answer.records}
    if behind:
        _ask(visits, known, {}, only=behind)
    return Told(known, [name for name, answer in answers.items() if answer.late])


def _ask(visits: Visits, records: Sequence[Record], held: Held, only: set[str] | None = None) -> dict[str, Told]:
    def ask(name: str, host: Host) -> Told | None:
        if only is not None and name not in only:
            return None
        request = {"do": "pauses", "records": list(records), "hold": held.get(name, {}), "seconds": PATIENCE}
        answer = host.ask(request).header
        return Told(answer["records"], answer["late"])

    return {name: told for name, told in visits.each(ask).items() if told is not None}
