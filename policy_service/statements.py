"""The statements of ``sql/``, and what they are given and answer, as PostgreSQL takes and gives it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import LiteralString

from policy_service.batch import Batch
from policy_service.exchange import Answer, Exchange, KeyAnswer, Verdict
from policy_service.wire import Value, integers, texts


@cache
def sql(name: str) -> LiteralString:
    """A statement of ``sql/NAME.sql``: shipped text, never made from anything a user said."""
    return (files("policy_service") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def charge_values(batch: Batch, processes: int) -> dict[str, Value]:
    """A batch as ``quota.charge`` takes it."""
    # The same shape is nearly always the same object; where it is not, it stands there twice.
    shapes = {id(shape): shape for shape in [key.shape for key in batch.keys]}
    places = {one: place for place, one in enumerate(shapes, start=1)}
    indexes = [places[id(key.shape)] for key in batch.keys]
    return {
        "keys": texts([key.name for key in batch.keys]),
        "shapes": integers(indexes),
        "units": integers(batch.units),
        "intervals": integers([shape.interval for shape in shapes.values()]),
        "bursts": integers([shape.burst for shape in shapes.values()]),
        "generations": integers([shape.generation for shape in shapes.values()]),
        "shared": "{" + ",".join("t" if shape.reserve else "f" for shape in shapes.values()) + "}",
        "processes": processes,
    }


def parameters(request: Exchange, divisor: int) -> dict[str, Value]:
    """An exchange as the arrays of ``quota.exchange``; the long ones in the form that the server need not read."""
    asks, reports = request.asks, request.reports
    charges = [
        (message, index, units) for message, charge in enumerate(request.charges, start=1) for index, units in charge
    ]
    return {
        "keys": texts([ask.key for ask in asks]),
        "intervals": integers([ask.interval for ask in asks]),
        "bursts": integers([ask.burst for ask in asks]),
        "generations": integers([ask.generation for ask in asks]),
        "leases": _numbers([ask.lease for ask in asks]),
        "reserves": _numbers([ask.reserve for ask in asks]),
        "shared": "{" + ",".join("t" if ask.shared else "f" for ask in asks) + "}",
        "divisor": divisor,
        "processes": request.processes,
        "report_keys": _numbers([report.index + 1 for report in reports]),
        "report_generations": _numbers([report.generation for report in reports]),
        "report_spent": _numbers([report.spent for report in reports]),
        "report_returned": _numbers([report.returned for report in reports]),
        "charge_messages": _numbers([message for message, _, _ in charges]),
        "charge_keys": _numbers([index + 1 for _, index, _ in charges]),
        "charge_units": _numbers([units for _, _, units in charges]),
    }


def answer_of(text: str) -> Answer:
    """The JSON answer of ``quota.exchange`` as values."""
    answer = json.loads(text)
    lists = [answer[name] or () for name in ("backlog", "leased", "reserved", "generation", "expires")]
    keys = zip(*lists, strict=True)
    verdicts = zip(answer["refused_by"], answer["wait"], strict=True)
    return Answer(
        [KeyAnswer(*key) for key in keys], [Verdict(refused_by - 1, needed) for refused_by, needed in verdicts]
    )


def _numbers(values: Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
