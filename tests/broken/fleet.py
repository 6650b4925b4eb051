"""Broken changes tried on a fleet that runs: applied as an operator would, and everything is as before after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smtpctl.deploy.apply import Settings, apply_fleet, plan_fleet, rendered
from smtpctl.deploy.targets import targets
from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.fleet import Role
from smtpctl.model.records import HostResult, Outcome
from smtpctl.render import render_fleet
from smtpctl.transport.connection import Target
from tests.broken.cases import Case, broken
from tests.lab.support import AppliedFleet

PROBE = ["python3", "-I", "/usr/local/lib/smtpctl/health.pyz", "submit", "/etc/smtpctl/secrets/probe"]


@dataclass(frozen=True)
class Trial:
    """A fleet on its sound state, and what is tried on it."""

    applied: AppliedFleet
    sound: dict[str, DesiredHost]
    targets: dict[str, Target]

    @classmethod
    def of(cls, applied: AppliedFleet) -> Trial:
        state = applied.lab.state
        sound = render_fleet(applied.fleet, applied.secrets)
        reached = targets(applied.fleet, list(sound), identity=state.identity, known_hosts=state.known_hosts)
        return cls(applied, sound, reached)

    def run(self, case: Case) -> list[str]:
        """Try a broken change; what is not as it has to be, in words: nothing where all is well."""
        wanted = {**self.sound, case.host: broken(case, self.sound[case.host], self.applied.secrets)}
        hosts = list(self.sound) if case.step == "rules" else [case.host]
        results = self.apply(wanted, hosts)
        problems = judge(case, results)
        problems += self.differences(hosts)
        problems += self.remains(case.host)
        problems += self.mail()
        return problems

    def apply(self, wanted: dict[str, DesiredHost], hosts: Sequence[str]) -> list[HostResult]:
        settings = Settings(order=lambda plans: [[host] for host in plans], keep=3)
        return apply_fleet(
            {host: self.targets[host] for host in hosts},
            rendered(lambda: {host: wanted[host] for host in hosts}),
            settings,
            lambda event: None,
            lambda plans: True,
            self.applied.secrets.mask,
        )

    def differences(self, hosts: Sequence[str]) -> list[str]:
        """What differs from the sound state: files, units, packages."""
        plans, errors = plan_fleet(
            {host: self.targets[host] for host in hosts},
            rendered(lambda: {host: self.sound[host] for host in hosts}),
            lambda event: None,
        )
        left = [f"{host} is not on its old revision: {plan}" for host, plan in plans.items() if not plan.empty]
        return [str(error) for error in errors] + left

    def remains(self, host: str) -> list[str]:
        """A unit that the change brought: its file is gone, but systemd may still know that it failed, or try it."""
        listing = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "trial.service"]
        left = self.applied.lab.run(host, listing).stdout.strip()
        return [f"{host} still has {left}"] if left else []

    def mail(self) -> list[str]:
        """Whether a message gets through each submission host."""
        tried = {
            host: self.applied.lab.run(host, PROBE, check=False)
            for host in self.applied.fleet.hosts_with(Role.SUBMISSION)
        }
        return [f"mail does not flow by {host}: {end.stderr}" for host, end in tried.items() if end.returncode]


def judge(case: Case, results: Sequence[HostResult]) -> list[str]:
    """What the results of a broken change say wrongly."""
    problems = [f"{one.host} is live" for one in results if one.outcome is Outcome.APPLIED]
    failed = [one for one in results if one.outcome in (Outcome.FAILED, Outcome.UNDONE)]
    said = "\n".join(f"{one.host}: {one.step}: {one.detail}" for one in failed)
    if not {one.step.partition(" ")[0] for one in failed} & set(case.step.split(" or ")):
        problems.append(f"it did not stop at {case.step}: {said or 'nothing failed'}")
    if case.expect not in said:
        problems.append(f"the error does not say {case.expect!r}: {said or 'nothing'}")
    if any("except:" in one.detail for one in failed):
        problems.append(f"the way back was not whole: {said}")
    return problems
