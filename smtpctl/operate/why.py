"""Why something waits or failed: from what ledger, queues, pauses and limits say to sentences. Pure.

A finding is one sentence, the lines that prove it, and what to do. What a person can end comes before what the outside
has to end: a pause explains a message that waits, whatever a provider said of it before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from smtpctl.feedback.categories import Action
from smtpctl.feedback.rules import advice
from smtpctl.feedback.verdict import judge
from smtpctl.operate.host.effects import PAUSED_REPLIES
from smtpctl.operate.pausing import words

#: Lines that prove a sentence; more of them prove it no better.
MOST_EVIDENCE = 3

#: Attempts after which nothing more is tried.
FAILED = ("bounced", "expired")

#: A limit is nearly spent from this share on.
NEARLY = 0.9

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about ``wanted``, which is an address, a message, a provider or a credential (``kind``).

    Members are rows as their sources give them: ``attempts`` (latest first) and ``waiting`` with at, host, instance,
    queue_id, recipient, provider, stream, credential, dsn and text, ``refusals`` with at, host, rule and text.
    """

    wanted: str
    kind: str
    now: float
    attempts: Sequence[Row] = ()
    waiting: Sequence[Row] = ()
    #: Messages that wait besides those in ``waiting``: nobody reads the reasons of 80,000.
    more_waiting: int = 0
    refusals: Sequence[Row] = ()
    pauses: Sequence[Row] = ()
    suppressions: Sequence[Row] = ()
    bounces: Sequence[Row] = ()
    quotas: Sequence[Row] = ()
    held: Mapping[str, float] = field(default_factory=dict)
    handed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Hosts, the ledger or the quotas that do not answer, with why: what they know is missing here.
    silent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason: a sentence, the lines that prove it, and what to do."""

    sentence: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


def explain(facts: Facts) -> list[Finding]:
    """Every reason that the facts have, the one that a person can end first. Never empty."""
    found = [
        *_suppressed(facts),
        *_paused(facts),
        *_held(facts),
        *_over_quota(facts),
        *_refused(facts),
        *_waiting(facts),
        *_handed_over(facts),
        *_reported(facts),
        *_attempted(facts),
    ]
    if not found:
        found = [_nothing(facts)]
    return [*found, *_silent(facts)]


def _suppressed(facts: Facts) -> Iterator[Finding]:
    for row in facts.suppressions:
        where = f"for stream {row['stream']}" if row["stream"] else "for every stream"
        yield Finding(
            f"{facts.wanted} is suppressed {where} since {_day(row['since'])}: {row['reason']}; mail to it is refused.",
            remedy="A person who wants our mail again is taken off the list; see docs/feedback.md.",
        )


def _paused(facts: Facts) -> Iterator[Finding]:
    for pause in facts.pauses:
        mine = [row for row in facts.waiting if _waits_for(pause, row)]
        if not mine and not _is_about(pause, facts):
            continue
        is_refused = pause["action"] == "refuse"
        reason = f": {pause['why']}" if pause["why"] else ""
        ends = f" until {_moment(pause['until'])}" if pause["until"] else ""
        count = f", and {_messages(len(mine))} of it {'wait' if len(mine) > 1 else 'waits'}" if mine else ""
        yield Finding(
            f"{pause['who']} paused {words(dict(pause))} at {_moment(pause['since'])}{ends}{reason}; new mail of it "
            f"{'is refused' if is_refused else 'waits'}{count}.",
            _lines(mine),
            f"smtpctl resume {_argument(pause)}",
        )


def _waits_for(pause: Row, row: Row) -> bool:
    """Whether a waiting message is one that the pause keeps."""
    if not (row["queue"] == "hold" or _is_paused(row)):
        return False
    scope = pause["scope"]
    return bool(
        scope.get("everything")
        or row.get("provider") in scope.get("providers", ())
        or row["instance"] in scope.get("pools", ())
        or row.get("credential") in scope.get("credentials", ())
        or row.get("stream") in scope.get("streams", ())
        or scope.get("sources")
        or scope.get("headers")
        or any(str(row.get("sender", "")).endswith(sender) for sender in scope.get("senders", ()))
    )


def _is_paused(row: Row) -> bool:
    """Whether the queue itself says that somebody paused it."""
    return any(reply in row["text"] for reply in PAUSED_REPLIES)


def _is_about(pause: Row, facts: Facts) -> bool:
    """Whether a pause is about what was asked for, though nothing waits of it."""
    scope = pause["scope"]
    return bool(
        (facts.kind in ("provider", "credential") and scope.get("everything"))
        or (facts.kind == "provider" and facts.wanted in scope.get("providers", ()))
        or (facts.kind == "credential" and facts.wanted in scope.get("credentials", ()))
    )


def _held(facts: Facts) -> Iterator[Finding]:
    for credential, until in facts.held.items():
        yield Finding(
            f"Credential {credential} is held until {_moment(until)}: the policy service puts on hold what it submits.",
            _lines(row for row in facts.waiting if row["queue"] == "hold"),
            "smtpctl incidents list says why; when it is no thief: "
            f"smtpctl policy quota reset --key held:{credential}, then smtpctl queue release --credential {credential}",
        )


def _over_quota(facts: Facts) -> Iterator[Finding]:
    for row in facts.quotas:
        if nearly_spent(row):
            state = "spent" if row["room"] <= 0 else "nearly spent"
            yield Finding(
                f"The limit {row['key']} ({row['limit']}) is {state}: {row['used']} used, {row['room']} left.",
                remedy=f"smtpctl policy quota grant --key {row['key']} --units N, or a larger limit in the inventory.",
            )


def nearly_spent(row: Row) -> bool:
    """Whether a key of a limit has little or no room left."""
    return bool(row["used"] >= NEARLY * (row["used"] + row["room"]))


def _refused(facts: Facts) -> Iterator[Finding]:
    for rule, rows in _grouped(facts.refusals, "rule"):
        who = f" by the rule {rule}" if rule else ""
        held = str(rows[0]["text"]).startswith("HOLD")
        what = f"put on hold{who}" if held else f"refused or put off{who} before the queue"
        yield Finding(
            f"{_messages(len(rows))} {'were' if len(rows) > 1 else 'was'} {what}, last at {_moment(rows[0]['at'])}.",
            _lines(rows),
            f"smtpctl policy explain --credential {facts.wanted} --sender ADDRESS says what each rule thinks of it."
            if facts.kind == "credential"
            else "The application was told in the same moment; the reply says what it has to change.",
        )


def _waiting(facts: Facts) -> Iterator[Finding]:
    rest = [row for row in facts.waiting if not any(_waits_for(pause, row) for pause in facts.pauses)]
    on_hold = [row for row in rest if row["queue"] == "hold"]
    if on_hold and not facts.held:
        yield Finding(
            f"{_messages(len(on_hold))} {_be(on_hold)} on hold: not tried until somebody releases what is held.",
            _lines(on_hold),
            "smtpctl queue release, with the same options as smtpctl queue list --queue hold.",
        )
    moving = [row for row in rest if row["queue"] in ("incoming", "active", "maildrop")]
    if moving:
        yield Finding(f"{_messages(len(moving))} {_be(moving)} on the way right now.", _lines(moving))
    judged: dict[tuple[str, Action], list[Row]] = {}
    for row in rest:
        if row["queue"] == "deferred":
            verdict = judge(row.get("dsn") or "", row["text"], row.get("provider") or "")
            judged.setdefault((str(verdict.category), verdict.action), []).append(row)
    for (category, action), rows in sorted(judged.items(), key=lambda item: -len(item[1])):
        to = ", ".join(sorted({str(row.get("provider") or "the outside") for row in rows}))
        yield Finding(
            f"{_messages(len(rows))} to {to} {'wait' if len(rows) > 1 else 'waits'} since the last attempt failed: "
            f"{category}. The queue tries again by itself.",
            _lines(rows),
            advice()[action],
        )
    if facts.more_waiting:
        yield Finding(
            f"Besides, {_messages(facts.more_waiting)} wait; only the first {len(facts.waiting)} were looked at."
        )


def _handed_over(facts: Facts) -> Iterator[Finding]:
    for host, pools in facts.handed_over.items():
        if any(row["host"] == host for row in facts.waiting):
            yield Finding(
                f"{host} is being emptied: it hands {', '.join(pools)} over to the other relays.",
                remedy=f"smtpctl queue drain {host} --undo, if it is to deliver itself again.",
            )


def _reported(facts: Facts) -> Iterator[Finding]:
    if any(row["status"] in FAILED for row in facts.attempts):
        return  # the report is the relay's own, about what the attempt says better
    for row in facts.bounces[-1:]:
        yield Finding(
            f"A report came at {_moment(row['at'])}, after the message had been taken: {row['category']}, "
            f"{row['hardness']}.",
            (str(row["text"]),),
            advice()[judge(row.get("dsn") or "", str(row["text"]), row.get("provider") or "").action],
        )


def _attempted(facts: Facts) -> Iterator[Finding]:
    """What became of the latest attempts that wait no more."""
    waiting = {row["queue_id"] for row in facts.waiting}
    ended = [row for row in facts.attempts if row["queue_id"] not in waiting and not _is_paused(row)]
    failed = [row for row in ended if row["status"] in FAILED]
    for (category, action, hardness), rows in _judged(failed):
        yield Finding(
            f"{_messages(len(rows))} failed for good, last at {_moment(rows[0]['at'])}: {category} ({hardness}).",
            _lines(rows),
            advice()[action],
        )
    deferred = [row for row in ended if row["status"] == "deferred"]
    if facts.kind == "provider" and deferred:
        for (category, action, _), rows in _judged(deferred):
            yield Finding(
                f"{len(rows)} attempts were put off by {facts.wanted}, last at {_moment(rows[0]['at'])}: {category}.",
                _lines(rows),
                advice()[action],
            )
    sent = [row for row in ended if row["status"] == "sent"]
    if sent:
        yield Finding(
            f"{_messages(len(sent))} {'were' if len(sent) > 1 else 'was'} delivered, last at {_moment(sent[0]['at'])}; "
            "what happens behind the server that took it is not ours to see.",
            _lines(sent),
        )


def _judged(rows: Iterable[Row]) -> list[tuple[tuple[str, Action, str], list[Row]]]:
    found: dict[tuple[str, Action, str], list[Row]] = {}
    for row in rows:
        verdict = judge(row.get("dsn") or "", row["text"], row.get("provider") or "")
        found.setdefault((str(verdict.category), verdict.action, str(verdict.hardness)), []).append(row)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _nothing(facts: Facts) -> Finding:
    if facts.kind in ("provider", "credential"):
        return Finding(f"Nothing is wrong with {facts.kind} {facts.wanted}: no pause, no full limit, nothing waits.")
    return Finding(
        f"Nothing is known of {facts.wanted}: no host has it in a queue, and the ledger has no journey of it.",
        remedy="It was never accepted here, or is older than the ledger keeps; the application's log has the reply.",
    )


def _silent(facts: Facts) -> Iterator[Finding]:
    for name, why in facts.silent.items():
        yield Finding(f"{name} does not answer, so what it knows is missing here.", (why,))


def _grouped(rows: Iterable[Row], name: str) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row.get(name) or ""), []).append(row)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _lines(rows: Iterable[Row]) -> tuple[str, ...]:
    """Evidence: when, where, which message, and what was said."""
    chosen = list(rows)
    lines = [
        " ".join(str(part) for part in (_moment(row["at"]), row["host"], row["instance"], row["queue_id"]) if part)
        + f": {row['text'] or row.get('queue') or row.get('status')}"
        for row in chosen[:MOST_EVIDENCE]
    ]
    if len(chosen) > MOST_EVIDENCE:
        lines.append(f"… and {len(chosen) - MOST_EVIDENCE} more")
    return tuple(lines)


def _argument(pause: Row) -> str:
    return "--all-outbound" if pause["kind"] == "all-outbound" else f"{pause['kind']} {quote(pause['value'])}"


def _messages(number: int) -> str:
    return f"{number} {'message' if number == 1 else 'messages'}"


def _be(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _moment(at: datetime | float) -> str:
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _day(at: datetime | float) -> str:
    return _moment(at)[:10]
