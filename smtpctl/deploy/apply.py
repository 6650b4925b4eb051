"""Bringing hosts to their desired state: all observed, staged and valid, then live wave by wave; or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import field
from typing import TYPE_CHECKING

from smtpctl.deploy.crew import Crew, crew
from smtpctl.deploy.judge import rule_errors
from smtpctl.deploy.leaving import require_empty
from smtpctl.deploy.neighbours import Neighbours
from smtpctl.deploy.turns import turn_of
from smtpctl.deploy.visit import Report, Visit
from smtpctl.errors import HostError, PartlyAppliedError, SmtpctlError, UsageError
from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.frozen import Frozen
from smtpctl.model.plans import HostPlan, SavedPlan
from smtpctl.model.records import HistoryEntry, HostResult, OnFailure, Outcome
from smtpctl.model.rollouts import Turn
from smtpctl.plan import moved
from smtpctl.transport.connection import Target
from smtpctl.transport.requests import CONFIRM_SECONDS

if TYPE_CHECKING:
    from smtpctl.transport.host import Host

#: Looks at a host, once it is known what is desired of it.
Look = Callable[[Visit], object]

#: Connects every visit, says what is desired of it, and has it looked at as soon as both are there.
Desire = Callable[[Crew, Look], None]

#: Makes what is desired of all hosts.
Render = Callable[[], Mapping[str, DesiredHost]]

#: Decides, from all plans, whether to go on.
Confirm = Callable[[Mapping[str, HostPlan]], bool]


#: Decides, from all plans, which hosts change together and in which order.
Order = Callable[[Mapping[str, HostPlan]], Sequence[Sequence[str]]]

#: Decides, from all plans, what has to give way before each host changes.
Turns = Callable[[Mapping[str, HostPlan]], Mapping[str, Turn]]


def _nothing_gives_way(plans: Mapping[str, HostPlan]) -> Mapping[str, Turn]:
    return {name: Turn(name) for name in plans}


class Settings(Frozen):
    """How a run goes: hosts in waves, what gives way to them and where that is (``neighbours``), revisions kept on a
    host, what may be overwritten, and the name that hosts remember it by."""

    order: Order
    turns: Turns = _nothing_gives_way
    neighbours: Mapping[str, Target] = field(default_factory=dict)
    keep: int = 10
    take_over: bool = False
    expected: Mapping[str, SavedPlan] = field(default_factory=dict)
    kind: str = "apply"
    run: str = field(default_factory=lambda: os.urandom(16).hex())
    on_failure: OnFailure = OnFailure.STOP
    confirm_seconds: float = CONFIRM_SECONDS


def rendered(render: Render, called: Mapping[str, Future[Host]] | None = None) -> Desire:
    """Desire what ``render`` returns; it works while hosts are signed in to, or were ``called`` before."""
    hosts = called or {}

    def desire(run: Crew, look: Look) -> None:
        desired: Future[Mapping[str, DesiredHost]] = Future()

        def come(visit: Visit) -> None:
            visit.connect(hosts.get(visit.name))
            visit.desired = desired.result()[visit.name]
            look(visit)

        work = run.begin(come, run.visits.values())
        try:
            desired.set_result(render())
        except BaseException:
            desired.cancel()  # nobody waits for it any more
            raise
        run.finish(work)

    return desire


def kept(revision: str) -> Desire:
    """Desire what each host was in a kept revision; the one before its current, where none is named."""

    def desire(run: Crew, look: Look) -> None:
        run.each(Visit.connect, run.visits.values())
        run.each(lambda visit: visit.recall(revision), run.whole())
        run.each(look, run.whole())

    return desire


def before_last_run() -> Desire:
    """Desire, of the hosts that the last command changed, what they were before it. All others are left out."""

    def desire(run: Crew, look: Look) -> None:
        last: dict[str, HistoryEntry] = {}

        def remember(visit: Visit) -> None:
            visit.connect()
            if entries := [entry for entry in visit.history() if not entry.undone]:
                last[visit.name] = entries[-1]

        run.each(remember, run.visits.values())
        if len(run.whole()) < len(run.visits):
            return
        if not last:
            raise SmtpctlError("nothing was ever applied to any of these hosts")
        newest = max(last.values(), key=lambda entry: entry.begun)
        if newest.kind == "upgrade":
            raise SmtpctlError("the last command was an upgrade: packages are not taken back", hint="name a host")
        if not newest.run:
            raise SmtpctlError("the last command was of an older smtpctl, which noted no hosts", hint="name a host")
        run.keep(name for name, entry in last.items() if entry.run == newest.run)
        run.each(lambda visit: visit.recall(""), run.whole())
        run.each(look, run.whole())

    return desire


def plan_fleet(
    targets: Mapping[str, Target], desire: Desire, report: Report
) -> tuple[dict[str, HostPlan], list[SmtpctlError]]:
    """Plans of all hosts that can be observed, and an error for each that cannot. Writes nothing anywhere."""
    with crew(targets, report) as run:
        desire(run, lambda visit: visit.observe(exclusive=False))
        plans = {name: visit.plan for name, visit in run.visits.items() if visit.plan is not None}
        errors = [visit.error for visit in run.visits.values() if visit.error is not None]
        if not errors and any(not plan.empty for plan in plans.values()):
            errors += rule_errors(run.desired()).values()
        return plans, errors


def apply_fleet(
    targets: Mapping[str, Target],
    desire: Desire,
    settings: Settings,
    report: Report,
    confirm: Confirm,
    mask: Callable[[str], str],
) -> list[HostResult]:
    """Bring every target to what is desired of it; a result for each. Raises nothing that a host did wrong."""
    with crew(targets, report) as run:
        desire(run, _look(settings))
        _run(run, settings, report, confirm)
        return [visit.result(mask) for visit in run.visits.values()]


def verdict(results: Sequence[HostResult]) -> SmtpctlError | None:
    """The error that a whole run amounts to; None when every host is on its desired state, and well."""
    unwell = [result.host for result in results if result.outcome is Outcome.APPLIED and result.step]
    bad = [result for result in results if result.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED)]
    if unwell and not bad:
        return PartlyAppliedError(f"applied, but not well on: {', '.join(unwell)}", hint="see why, or roll back")
    if not bad:
        return None
    failed = [result for result in bad if result.outcome not in (Outcome.UNTOUCHED, Outcome.ROLLED_BACK)]
    names = ", ".join(result.host for result in bad)
    if any(result.outcome is Outcome.APPLIED for result in results):
        return PartlyAppliedError(f"not applied on: {names}", hint="remove the cause, then run apply again")
    if not failed:
        return SmtpctlError("nothing was applied")
    return SmtpctlError(f"nothing was applied; failed on: {', '.join(result.host for result in failed)}")


def _look(settings: Settings) -> Look:
    return Visit.observe_upgrades if settings.kind == "upgrade" else lambda visit: visit.observe(exclusive=True)


def _run(run: Crew, settings: Settings, report: Report, confirm: Confirm) -> None:
    if len(run.whole()) < len(run.visits):
        return
    changing = [visit for visit in run.visits.values() if visit.plan and not visit.plan.empty]
    if (not changing and not settings.expected) or not _permitted(run, changing, settings, report, confirm):
        return
    try:
        # The barrier: nothing goes live anywhere unless every host of the run is staged and valid.
        if not run.each(Visit.stage, changing) and not run.interrupted.is_set():
            _go_live(run, changing, settings)
    finally:
        run.each(Visit.abandon, changing)


def _permitted(run: Crew, changing: Sequence[Visit], settings: Settings, report: Report, confirm: Confirm) -> bool:
    """Nothing moved since a saved plan; no hand edit is lost unless that was said; no mail is left behind; and
    somebody wants this at all."""
    for visit in run.visits.values():
        if visit.plan and (objection := _objection(visit.plan, settings)):
            visit.fail(objection)
    if changing and settings.kind == "apply":
        require_empty(changing, report)
        for name, error in rule_errors(run.desired()).items():
            run.visits[name].fail(error)
    if len(run.whole()) < len(run.visits) or not changing:
        return False
    return confirm({visit.name: visit.plan for visit in changing if visit.plan}) and not run.interrupted.is_set()


def _objection(plan: HostPlan, settings: Settings) -> HostError | None:
    words = hint = ""
    if plan.host in settings.expected and (difference := moved(settings.expected[plan.host], plan)):
        words = f"not as it was when the plan was saved: {difference}"
    elif plan.edited and not settings.take_over:
        words = f"edited by hand on the host: {', '.join(plan.edited)}"
    elif plan.stranded:
        words = f"mail would be left behind: {'; '.join(plan.stranded)}"
        hint = "with the inventory as it was, wait until `smtpctl queue list` has none of it, bounce or delete it"
    return HostError(plan.host, "plan", words, hint=hint) if words else None


def _go_live(run: Crew, changing: Sequence[Visit], settings: Settings) -> None:
    """Wave by wave; a failure ends the roll-out unless it was to go on, and so does Ctrl-C after the wave in hand."""
    by_name = {visit.name: visit for visit in changing}
    waves = settings.order({visit.name: visit.plan for visit in changing if visit.plan})
    missing = set(by_name) - {host for wave in waves for host in wave}
    if missing:
        raise UsageError(f"hosts in no wave: {', '.join(sorted(missing))}")

    turns = settings.turns({visit.name: visit.plan for visit in changing if visit.plan})
    with closing(Neighbours(settings.neighbours)) as neighbours:

        def step(visit: Visit) -> None:
            _change(visit, turns[visit.name], neighbours, settings, kind=settings.kind)

        for wave in waves:
            failed = run.each(step, [by_name[host] for host in wave])
            if failed and settings.on_failure is OnFailure.ROLL_BACK:
                _take_back(run, [by_name[host] for wave in reversed(waves) for host in wave], neighbours, settings)
            if run.interrupted.is_set() or (failed and settings.on_failure is not OnFailure.GO_ON):
                return


def _change(visit: Visit, turn: Turn, neighbours: Neighbours, settings: Settings, *, kind: str) -> None:
    """One host: out of the way of mail, live, healthy, confirmed, and back."""
    with turn_of(visit, turn, neighbours) as out:
        visit.go_live(kind=kind, run=settings.run, keep=settings.keep, confirm_seconds=settings.confirm_seconds)
        out.require_healthy()
        visit.confirm()


def _take_back(run: Crew, visits: Sequence[Visit], neighbours: Neighbours, settings: Settings) -> None:
    """Bring every host that this run has changed to the revision before, one after the other, as they changed."""

    def step(visit: Visit) -> None:
        plan = visit.turn_back()
        turn = settings.turns({visit.name: plan})[visit.name]
        try:
            _change(visit, turn, neighbours, settings, kind="rollback")
        except SmtpctlError:
            if visit.outcome is Outcome.UNDONE:
                visit.outcome = Outcome.APPLIED  # led back from the way back: the new revision stands
            raise
        visit.outcome = Outcome.ROLLED_BACK

    for visit in visits:
        if visit.outcome is Outcome.APPLIED:
            run.each(step, [visit])
