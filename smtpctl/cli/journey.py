"""How a journey looks: as text for people, as a document for machines. Makes strings; prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any

from smtpctl.ledger.journeys import BounceStep, DeliveryStep, EventStep, Journey, Stop

_KINDS = {"bounce": "non-delivery notification", "delay": "delay warning", "success": "delivery notification"}
_DECISIONS = {"reject", "milter-reject", "hold", "milter-hold", "discard", "milter-discard", "redirect", "filter"}


def text_of(journey: Journey) -> Iterator[str]:
    """The lines that show a journey."""
    first = journey.first
    yield f"Message <{journey.message_id or '?'}>: {journey.outcome()}{_latency(journey)}"
    yield f"  from {_sender(journey)}, accepted {_date(first.started_at)} UTC{_stream(journey)}"
    for stop in journey.stops:
        yield ""
        yield f"  {stop.host}  {stop.instance}  {stop.queue_id}{_relation(stop, journey)}"
        for at, line in _steps(stop, journey):
            yield f"    {_clock(at)} {_since(at, first.started_at)}  {line}"
    for bounce in journey.bounces:
        yield ""
        yield f"  {bounce.host}  report received by mail"
        yield f"    {_clock(bounce.received_at)} {_since(bounce.received_at, first.started_at)}  {_bounce(bounce)}"
        if bounce.diagnostic:
            yield f"      {bounce.diagnostic}"


def refusal_text(event: EventStep) -> str:
    """One line about mail that was refused before it became a message."""
    return f"{_date(event.at)} UTC  {event.host}  {_event(event)}"


def document_of(journey: Journey) -> dict[str, Any]:
    """The journey as plain values; times in ISO 8601, durations in seconds."""
    return {
        "message_id": journey.message_id,
        "outcome": journey.outcome(),
        "latency": journey.latency(),
        "messages": [_plain(asdict(stop)) for stop in journey.stops],
        "hops": [{"delivery": delivery, "message": following} for delivery, following in journey.hops.items()],
        "bounces": [_plain(asdict(bounce)) for bounce in journey.bounces],
    }


def refusal_document(event: EventStep) -> dict[str, Any]:
    """A refusal as plain values."""
    plain: dict[str, Any] = _plain(asdict(event))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _latency(journey: Journey) -> str:
    seconds = journey.latency()
    return "" if seconds is None else f" after {seconds:.3f} s"


def _sender(journey: Journey) -> str:
    senders = [stop.sender for stop in journey.main_stops() if stop.sender is not None]
    return f"<{senders[0]}>" if senders else "?"


def _stream(journey: Journey) -> str:
    stream = next((stop.stream for stop in journey.stops if stop.stream), None)
    return f", stream {stream}" if stream else ""


def _relation(stop: Stop, journey: Journey) -> str:
    if stop.parent_kind is None:
        return ""
    parent = next((other for other in journey.stops if other.id == stop.parent), None)
    what = _KINDS.get(stop.parent_kind, stop.parent_kind)
    return f"  ({what} of {parent.queue_id})" if parent else f"  ({what})"


def _steps(stop: Stop, journey: Journey) -> list[tuple[datetime, str]]:
    """(time, line), in order of time; signatures of one moment in one line."""
    steps = [(stop.started_at, _accepted(stop))]
    steps += [(at, line) for at, line in _events(stop)]
    for delivery in stop.deliveries:
        steps.append((delivery.at, _delivery(delivery, journey)))
        if delivery.reply and delivery.status != "sent":
            steps.append((delivery.at, f"  {delivery.reply}"))
    if stop.ended_at is not None and stop.end_kind not in (None, "removed"):
        steps.append((stop.ended_at, f"{stop.end_kind}"))
    if stop.ended_at is None and stop.activations:
        steps.append((max(at for at, _ in steps), f"still in the queue, tried {stop.activations} times"))
    return sorted(steps, key=lambda step: step[0])


def _accepted(stop: Stop) -> str:
    if stop.origin == "internal":
        return "made here"
    if stop.origin == "local":
        return "accepted from sendmail"
    if stop.client_name is None:
        return "begins before the log does"
    client = f"{stop.client_name}[{stop.client_address}]" if stop.client_address else stop.client_name
    credential = f", credential {stop.credential}" if stop.credential else ""
    return f"accepted from {client}{credential}"


def _events(stop: Stop) -> Iterator[tuple[datetime, str]]:
    for kind, group in groupby(stop.events, key=lambda event: event.kind):
        events = list(group)
        if kind == "signed":
            selectors = ", ".join(f"{event.detail.get('selector')} ({event.detail.get('domain')})" for event in events)
            yield events[-1].at, f"signed by {selectors}"
        else:
            yield from ((event.at, _event(event)) for event in events)


def _event(event: EventStep) -> str:
    detail = event.detail
    if event.kind == "policy":
        parts = [f"{name}={value}" for name, value in detail.items() if name not in ("event", "queue_id", "instance")]
        return f"policy {detail.get('event', '')}: {' '.join(parts)}"
    if event.kind == "filter" and "FILTER " in detail.get("text", ""):
        return (
            f"routed at {detail.get('stage', '?')} to {detail['text'].partition('FILTER ')[2]}{_original_sender(event)}"
        )
    if event.kind in _DECISIONS:
        recipient = f" for <{event.recipient}>" if event.recipient else ""
        sender = f" from <{event.sender}>" if event.sender is not None else ""
        codes = " ".join(filter(None, (detail.get("code"), detail.get("status"))))
        credential = f", credential {detail['sasl_username']}" if detail.get("sasl_username") else ""
        said = f"{codes} {detail.get('text', '')}"
        return f"{event.kind} at {detail.get('stage', '?')}{sender}{recipient}{credential}: {said}"
    if event.kind == "transport":
        return f"passed to {detail.get('transport')}"
    text = detail.get("text") or detail.get("action") or ""
    return f"{event.kind} {text}".rstrip()


def _original_sender(event: EventStep) -> str:
    return f", envelope sender was <{event.sender}>" if event.sender else ""


def _delivery(step: DeliveryStep, journey: Journey) -> str:
    took = "" if step.delay is None else f" ({_parts(step)})"
    if step.id in journey.hops:
        following = next(stop for stop in journey.stops if stop.id == journey.hops[step.id])
        return f"handed over to {following.host} {following.instance} as {following.queue_id}{took}"
    aim = f"<{step.recipient}>"
    if step.original_recipient:
        aim += f" (was <{step.original_recipient}>)"
    where = step.relay_name or step.transport
    if step.relay_address:
        where += f"[{step.relay_address}]:{step.relay_port}" if step.relay_port else f"[{step.relay_address}]"
    source = f" from {step.source_address}" if step.source_address else ""
    provider = f" ({step.provider})" if step.provider else ""
    verdict = f", {step.hardness}: {step.category}" if step.hardness else ""
    reply = f": {step.reply}" if step.status == "sent" and step.reply else ""
    return (
        f"{step.status} {step.dsn or ''} {aim}{provider} by {step.transport}{source} to {where}{took}{verdict}{reply}"
    )


def _parts(step: DeliveryStep) -> str:
    if step.delay_queue is None:
        return f"{step.delay:g} s"
    parts = (step.delay_queue, step.delay_manager, step.delay_connect, step.delay_transfer)
    return "/".join(f"{part or 0:.3g}" for part in parts) + " s"


def _bounce(bounce: BounceStep) -> str:
    about = f" <{bounce.recipient}>" if bounce.recipient else ""
    said = f" says {bounce.reporting_mta}" if bounce.reporting_mta else ""
    return f"{bounce.action} {bounce.status or ''}{about}{said}, {bounce.hardness}: {bounce.category}"


def _date(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03}"


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03}"


def _since(at: datetime, start: datetime) -> str:
    return f"{(at - start).total_seconds():+10.3f}"
