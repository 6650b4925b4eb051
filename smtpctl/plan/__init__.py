"""Desired and observed state to ordered steps, their explanation, and waves. Pure: no network, clock, process."""

from smtpctl.model.plans import HostPlan, ObservedHost
from smtpctl.plan.drift import findings
from smtpctl.plan.host import plan_host
from smtpctl.plan.saved import moved, save
from smtpctl.plan.waves import waves
from smtpctl.plan.words import effects, explain, folded, summary

__all__ = [
    "HostPlan",
    "ObservedHost",
    "effects",
    "explain",
    "findings",
    "folded",
    "moved",
    "plan_host",
    "save",
    "summary",
    "waves",
]
