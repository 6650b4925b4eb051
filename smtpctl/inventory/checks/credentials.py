"""Credentials: what an application may use exists."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.checks.domains import is_below
from smtpctl.inventory.problems import Finding
from smtpctl.inventory.words import nearest, suggestion
from smtpctl.model.fleet import Fleet
from smtpctl.model.policy import RULES, RULES_WITH_ACTION


@reads("credentials", "streams")
def a_credential_has_a_stream(fleet: Fleet) -> Findings:
    """A credential names a stream that exists."""
    for name, credential in fleet.credentials.items():
        if credential.stream not in fleet.streams:
            path = ("credentials", name, "stream")
            hint = suggestion(credential.stream, fleet.streams, what="streams")
            yield Finding(path, f"credential {name!r} names an unknown stream {credential.stream!r}", hint)


@reads("credentials", "domains")
def a_sender_is_a_sending_domain(fleet: Fleet) -> Findings:
    """The domain of every sender of a credential stands under `domains.sending`: others would leave without signature.

    A domain below a sending domain is one of its own here, with its own keys and bounce domain."""
    for name, credential in fleet.credentials.items():
        for index, written in enumerate(credential.senders):
            sender = written.rpartition("@")[2]
            if sender not in fleet.domains.sending:
                path = ("credentials", name, "senders", index)
                hint = "add it to domains.sending, with a bounce domain of its own"
                guess = nearest(sender, fleet.domains.sending)
                if guess is not None and not is_below(sender, guess):
                    hint = f"did you mean {guess!r}? else {hint}"
                yield Finding(path, f"credential {name!r} sends as {sender}, which is no sending domain", hint)


@reads("credentials")
def the_health_checks_name_is_taken(fleet: Fleet) -> Findings:
    """The health check signs in under a name of its own."""
    if "smtpctl-probe" in fleet.credentials:
        hint = "call the credential something else"
        yield Finding(
            ("credentials", "smtpctl-probe"), "smtpctl-probe is what smtpctl's own health check signs in as", hint
        )


@reads("credentials")
def hours_end_after_they_start(fleet: Fleet) -> Findings:
    """Hours end after they start, on the same day."""
    for name, credential in fleet.credentials.items():
        for index, hours in enumerate(credential.hours):
            if hours.start >= hours.end:
                message = f"credential {name!r} has hours from {hours.start} until {hours.end}"
                hint = "two of them where they go over midnight: one until 24:00, one from 00:00"
                yield Finding(("credentials", name, "hours", index), message, hint)


@reads("rules")
def a_rule_exists(fleet: Fleet) -> Findings:
    """A rule that is set is one of the policy service's, and has a choice of action where one is named."""
    for name, setting in fleet.rules.items():
        if name not in RULES:
            yield Finding(("rules", name), f"there is no rule {name!r}", suggestion(name, RULES, what="rules"))
        elif setting.action is not None and name not in RULES_WITH_ACTION:
            hint = f"rules with a choice of action: {', '.join(RULES_WITH_ACTION)}"
            yield Finding(("rules", name, "action"), f"rule {name!r} has no choice of action", hint)


CHECKS = (
    hours_end_after_they_start,
    a_rule_exists,
    the_health_checks_name_is_taken,
    a_credential_has_a_stream,
    a_sender_is_a_sending_domain,
)
