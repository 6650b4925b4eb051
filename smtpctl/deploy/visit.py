"""One host's part of a run: its connection, its desired state, its plan, and how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smtpctl.errors import HostError, SmtpctlError, TransportError
from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.plans import HostPlan, ObservedHost
from smtpctl.model.records import Event, HistoryEntry, HostResult, Outcome
from smtpctl.plan import plan_host, plan_upgrades
from smtpctl.plan.leaving import SUBMISSION, going, stopping, stranded
from smtpctl.plan.upgrades import patterns as upgrade_patterns
from smtpctl.transport import requests
from smtpctl.transport.connection import Target
from smtpctl.transport.host import Host, LedBackError, led_back

if TYPE_CHECKING:
    from concurrent.futures import Future

Report = Callable[[Event], None]

#: Beyond the time in which a host leads itself back: for doing so and for its health checks, or for a restart.
RETURN_SECONDS = 60.0

#: Between two tries to reach a host whose connection broke.
RETRY_SECONDS = 1.0


class Visit:
    """Steps of a run on one host, in order: connect, observe, stage, go_live, confirm; any may raise SmtpctlError.

    What is desired is given between the first two: it is rendered while connections are made, or asked of the host.
    """

    def __init__(self, target: Target, holder: str, report: Report) -> None:
        self.target = target
        self.holder = holder
        self.desired: DesiredHost | None = None
        self.observed: ObservedHost | None = None
        self.plan: HostPlan | None = None
        self.outcome = Outcome.UNTOUCHED
        self.error: SmtpctlError | None = None
        self._report = report
        self._host: Host | None = None
        self._staged = False
        self._settled = False
        self._patience = RETURN_SECONDS
        self._began = time.monotonic()
        self._ended: float | None = None

    @property
    def name(self) -> str:
        return self.target.host

    def connect(self, called: Future[Host] | None = None) -> None:
        """Sign in and start the agent, unless the host was ``called`` before."""
        self._host = called.result() if called else Host(self.target, self.holder)

    def recall(self, revision: str) -> None:
        """Desire what a kept revision of this host was; the one before the current, where none is named."""
        answer = self._connected().ask({"do": "recall", "revision": revision})
        self.desired = requests.recalled(self.name, answer)

    def history(self) -> tuple[HistoryEntry, ...]:
        """What the host remembers of earlier applies."""
        return requests.history(self.name, self._connected().ask({"do": "history"}))

    def observe(self, *, exclusive: bool) -> HostPlan:
        """Lock, and plan from what is there."""
        desired = self._desired()
        answer = self._connected().ask(requests.observe(desired, exclusive=exclusive), on_step=self.report)
        requests.refuse_newer(self.name, answer)
        if recovered := answer.header["recovered"]:
            self.report("recover", recovered)
        self.observed = requests.observed(self.name, answer)
        self.plan = plan_host(desired, self.observed)
        self._look_for_mail(self.plan, self.observed)
        if self.plan.empty:
            self.finish(Outcome.UNCHANGED)
        return self.plan

    def _look_for_mail(self, plan: HostPlan, observed: ObservedHost) -> None:
        """Note in the plan what waits where the plan would leave it."""
        instances, transports = stopping(plan), going(plan, observed)
        if not instances and not transports:
            return
        request = {"do": "waiting", "instances": instances, "transports": {SUBMISSION: transports}}
        found = self._connected().ask(request).header
        self.plan = replace(plan, stranded=stranded(found["instances"], found["transports"]))

    def observe_upgrades(self) -> HostPlan:
        """Lock, and plan what the host's own repositories offer; nothing else may differ from what is desired."""
        if not self.observe(exclusive=True).empty:
            raise HostError(
                self.name, "plan", "differs from the inventory", hint="run `smtpctl apply` first, then upgrade"
            )
        if self.observed is None or not self.observed.revision:
            raise HostError(self.name, "plan", "smtpctl was never applied here", hint="run `smtpctl apply` first")
        wanted = {"do": "upgradable", "packages": upgrade_patterns(self._desired())}
        answer = self._connected().ask(wanted, on_step=self.report)
        self.plan = plan_upgrades(self._desired(), self.observed, requests.upgradable(answer))
        if not self.plan.empty:
            self.outcome = Outcome.UNTOUCHED
        return self.plan

    def stage(self) -> None:
        """Hand over the new state and have it validated. Raise HostError with what the checkers say."""
        header, blobs = requests.stage(self._planned())
        self.report("stage", f"{len(blobs)} contents")
        self._staged = True
        answer = self._connected().ask(header, blobs, on_step=self.report)
        bad = [check for check in answer.header["checks"] if not check["ok"]]
        if bad:
            raise HostError(self.name, "validate", "\n".join(f"{check['name']}: {check['output']}" for check in bad))

    def go_live(self, *, kind: str, run: str, keep: int, confirm_seconds: float) -> None:
        """Swap, reload, probe. The host leads itself back when that fails, and when nobody confirms."""
        plan = self._planned()
        request = requests.commit(
            plan, self._desired(), who=self.holder, kind=kind, run=run, keep=keep, confirm_seconds=confirm_seconds
        )
        self._patience = confirm_seconds + RETURN_SECONDS
        self._settled = False
        self._change(request)

    def confirm(self) -> None:
        """Make what is live the host's revision; over a new connection first, where the change could lock us out."""
        if not self._settled:
            if self._planned().risks_access:
                self._come_back()
            self._change({"do": "confirm", "revision": self._planned().revision})
        self.finish(Outcome.APPLIED)
        self.report("done", f"revision {self._planned().revision}")

    def _change(self, request: dict[str, Any]) -> None:
        """Ask for something after which the host is not as it was, or has been led back."""
        try:
            self._connected().ask(request, on_step=self.report)
        except LedBackError:
            self.outcome = Outcome.UNDONE
            raise
        except TransportError as error:
            self._settle(error)

    def _settle(self, broken: TransportError) -> None:
        """The connection broke after the change began: come back, learn what became of it, or have it led back."""
        self.report("reconnect", str(broken))
        end = time.monotonic() + self._patience
        last: SmtpctlError = broken
        while time.monotonic() < end:
            try:
                with Host(self.target, self.holder) as host:
                    answer = host.ask({"do": "settle"}).header
            except SmtpctlError as error:
                last = error
                time.sleep(RETRY_SECONDS)
                continue
            if answer["revision"] == self._planned().revision:
                self._settled = True
                return
            self.outcome = Outcome.UNDONE
            raise HostError(
                self.name, "connection", f"{broken}\n{answer['recovered'] or 'led itself back'}"
            ) from broken
        self.outcome = Outcome.UNKNOWN
        raise TransportError(
            f"{last}\nthe host does not answer; unless it is down it has led itself back",
            hint="when it is reachable again, run apply: it leads back what is unfinished first",
        ) from last

    def _come_back(self) -> None:
        """Prove that the host can still be reached. If not, have it led back, or leave that to its timer."""
        self.report("confirm", "over a new connection")
        try:
            with Host(self.target, self.holder) as second:
                second.ask({"do": "ping"})
        except SmtpctlError as error:
            done = self.lead_back(f"no new connection: {error}")
            raise HostError(self.name, "confirm", f"no new connection after the change: {error}\n{done}") from error

    def lead_back(self, reason: str) -> str:
        """Have the host lead back what is live and not confirmed yet; what was, in words."""
        self.outcome = Outcome.UNDONE
        return led_back(self._connected().ask({"do": "undo", "reason": reason}, on_step=self.report).header)

    def settle_queues(self, instances: Sequence[str], seconds: float) -> None:
        """Wait until these Postfix instances have handed on what they hold, or ``seconds`` have passed."""
        left = self.give_way("settle queues", instances=instances, seconds=seconds)["left"]
        self.report("queues", f"{left} messages in hand after {seconds:g} s" if left else "nothing in hand")

    def give_way(self, what: str, **request: Any) -> dict[str, Any]:
        """Have the host give way to its own change (``smtpctl.transport.agent.giving_way``); the answer."""
        return self._connected().ask({"do": "give-way", "what": what, **request}, on_step=self.report).header

    def turn_back(self) -> HostPlan:
        """Plan the way back of a host that this run has changed, to what it was before; and have it staged."""
        self.report("rollback", "to the revision before")
        self.recall("")
        plan = self.observe(exclusive=True)
        self.stage()
        return plan

    def abandon(self) -> None:
        """Drop what was staged; the host is as it was. A host that is gone has nothing staged that matters."""
        if not self._staged or self.outcome not in (Outcome.UNTOUCHED, Outcome.FAILED):
            return
        try:
            self._connected().ask({"do": "abandon"})
        except SmtpctlError as error:
            self.report("abandon", str(error))

    def fail(self, error: SmtpctlError) -> None:
        """Note that a step failed; ``outcome`` says already whether something was led back."""
        self.error = error
        nothing_done = self.outcome in (Outcome.UNTOUCHED, Outcome.UNCHANGED)
        self.finish(Outcome.FAILED if nothing_done else self.outcome)
        step = error.step if isinstance(error, HostError) else "connection"
        self.report("failed", step)

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._ended = time.monotonic()

    def close(self) -> None:
        if self._host is not None:
            self._host.close()

    def result(self, mask: Callable[[str], str]) -> HostResult:
        """How it went, with secrets masked in the server's words."""
        detail, step = "", ""
        if self.error is not None:
            step = self.error.step if isinstance(self.error, HostError) else "connection"
            detail = self.error.detail if isinstance(self.error, HostError) else str(self.error)
        seconds = (self._ended or time.monotonic()) - self._began
        revision = self.desired.revision if self.desired else ""
        hint = self.error.hint if self.error else ""
        return HostResult(self.name, self.outcome, revision, round(seconds, 3), step, mask(detail), hint)

    def report(self, step: str, detail: str) -> None:
        """Tell whoever watches the run."""
        self._report(Event(self.name, step, detail))

    def _planned(self) -> HostPlan:
        if self.plan is None:
            raise HostError(self.name, "plan", "the host was not observed")
        return self.plan

    def _connected(self) -> Host:
        if self._host is None:
            raise HostError(self.name, "connection", "there is none")
        return self._host

    def _desired(self) -> DesiredHost:
        if self.desired is None:
            raise HostError(self.name, "plan", "nothing is desired of the host")
        return self.desired
