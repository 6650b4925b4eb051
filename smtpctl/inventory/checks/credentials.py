"""Credentials: what an application may use exists."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.checks.domains import is_below
from smtpctl.inventory.problems import Finding
from smtpctl.inventory.words import nearest, suggestion
from smtpctl.model.fleet import Fleet


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
    """Every sender domain of a credential stands under `domains.sending`: others would leave without signature.

    A domain below a sending domain is one of its own here, with its own keys and bounce domain."""
    for name, credential in fleet.credentials.items():
        for index, sender in enumerate(credential.senders):
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


CHECKS = (the_health_checks_name_is_taken, a_credential_has_a_stream, a_sender_is_a_sending_domain)
