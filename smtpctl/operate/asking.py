"""Rows of ledger and queues in the form that `why` reads. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from smtpctl.ledger.journeys import EventStep, Journey
from smtpctl.model.fleet import Fleet
from smtpctl.operate.audit import short_name
from smtpctl.operate.wanted import SUBMISSION

#: Events that kept a message from being taken in.
REFUSING = ("reject", "milter-reject", "policy")


def attempts_of(journeys: Iterable[Journey], recipient: str = "") -> list[dict[str, Any]]:
    """The last attempt for each recipient of each journey, the latest first; with ``recipient``, only to it."""
    rows = [row for journey in journeys for row in _attempts(journey)]
    mine = [row for row in rows if row["recipient"] == recipient]
    return sorted(mine or rows, key=lambda row: row["at"], reverse=True)


def _attempts(journey: Journey) -> Iterator[dict[str, Any]]:
    stops = {stop.id: stop for stop in journey.stops}
    for step in journey.last_attempts():
        stop = stops[step.message]
        yield {
            "at": step.at,
            "host": stop.host,
            "instance": short_name(stop.instance),
            "queue_id": stop.queue_id,
            "recipient": step.recipient,
            "provider": step.provider,
            "stream": journey.first.stream or stop.stream,
            "credential": journey.first.credential,
            "status": stop.end_kind if step.status == "deferred" and stop.end_kind == "expired" else step.status,
            "dsn": step.dsn,
            "text": step.reply or "",
        }


def bounces_of(journeys: Iterable[Journey]) -> list[dict[str, Any]]:
    """Reports that came by mail about journeys."""
    return [
        {
            "at": bounce.received_at,
            "category": bounce.category,
            "hardness": bounce.hardness,
            "dsn": bounce.status,
            "text": bounce.diagnostic or "",
        }
        for journey in journeys
        for bounce in journey.bounces
        if bounce.action == "failed"
    ]


def refusals_of(events: Iterable[EventStep]) -> list[dict[str, Any]]:
    """What never became a message."""
    return [refusal(event.at, event.host, event.instance, event.detail) for event in events if event.kind in REFUSING]


def refusal(at: Any, host: str, instance: str, detail: dict[str, Any]) -> dict[str, Any]:
    """One refusal out of an event's detail."""
    text = detail.get("action") or " ".join(filter(None, (detail.get(name) for name in ("code", "status", "text"))))
    place = {"at": at, "host": host, "instance": short_name(instance), "queue_id": detail.get("queue_id") or ""}
    return {**place, "rule": detail.get("rule") or "", "text": text}


def searched(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a search as attempts; without those by which one host of the fleet hands to another."""
    found = [{**row, "instance": short_name(row["instance"]), "text": row["reply"] or ""} for row in rows]
    return [row for row in found if row["instance"] != SUBMISSION]


def waiting_of(host: str, instance: str, lines: bytes, recipient: str = "") -> Iterator[dict[str, Any]]:
    """Messages of ``postqueue -j``; the reason is that of ``recipient``, else of the first that has one."""
    for line in lines.splitlines():
        message = json.loads(line)
        chosen = [to for to in message["recipients"] if to["address"].lower() == recipient] or message["recipients"]
        reasons = [to["delay_reason"] for to in chosen if to.get("delay_reason")]
        yield {
            "at": float(message["arrival_time"]),
            "host": host,
            "instance": instance,
            "queue": message["queue_name"],
            "queue_id": message["queue_id"],
            "sender": message["sender"].lower(),
            "recipient": chosen[0]["address"] if chosen else "",
            "text": reasons[0] if reasons else "",
        }


def completed(
    waiting: Iterable[dict[str, Any]], attempts: Iterable[dict[str, Any]], known: dict[str, str], fleet: Fleet
) -> list[dict[str, Any]]:
    """Waiting messages with provider, stream and credential: as their attempts had them, by what was asked for
    (``known``), and else by the recipient's domain."""
    of = {row["queue_id"]: row for row in attempts}
    by_domain = {domain: name for name, provider in fleet.all_providers().items() for domain in provider.domains}
    found = []
    for row in waiting:
        tried = {name: of.get(row["queue_id"], {}).get(name) for name in ("provider", "stream", "credential", "dsn")}
        tried["provider"] = tried["provider"] or by_domain.get(row["recipient"].rpartition("@")[2].lower())
        found.append({**row, **tried, **known})
    return found
