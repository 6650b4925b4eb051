"""Desired and observed state to ordered steps, their explanation, and waves. Pure: no network, clock, process."""

from smtpctl.model.plans import HostPlan, ObservedHost
from smtpctl.plan.drift import findings
from smtpctl.plan.host import plan_host
from smtpctl.plan.rollout import rollout
from smtpctl.plan.rollout_words import explain_rollout, explain_turn
from smtpctl.plan.saved import moved, save
from smtpctl.plan.upgrades import plan_upgrades
from smtpctl.plan.waves import waves
from smtpctl.plan.words import effects, explain, folded, summary

__all__ = [
    "HostPlan",
    "ObservedHost",
    "effects",
    "explain",
    "explain_rollout",
    "explain_turn",
    "findings",
    "folded",
    "moved",
    "plan_host",
    "plan_upgrades",
    "rollout",
    "save",
    "summary",
    "waves",
]
