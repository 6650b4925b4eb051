"""Lines of master.cf that the fleet has no place for."""

from __future__ import annotations

from smtpctl.inventory.checks.owned_parameters import OVERLAY
from smtpctl.inventory.checks.pools import MASTER_SERVICES
from smtpctl.operate.adoption.facts import Instance, Server
from smtpctl.operate.adoption.report import Draft, Notes

#: What submission is like anyhow, or a pool's transports.
_USUAL = {
    "inet": {
        "syslog_name",
        "smtpd_tls_security_level",
        "smtpd_tls_wrappermode",
        "smtpd_tls_auth_only",
        "smtpd_sasl_auth_enable",
        "smtpd_sasl_type",
        "smtpd_sasl_path",
        "smtpd_relay_restrictions",
        "smtpd_reject_unlisted_recipient",
    },
    "unix": {"syslog_name", "smtp_bind_address", "smtp_bind_address6", "smtp_helo_name"},
}
_SUBMISSION_PORTS = ("submission", "587", "submissions", "smtps", "465")


def leave_services(server: Server, draft: Draft) -> None:
    """Note every line, and every option of one, that nothing in the draft stands for."""
    for instance in server.instances:
        for name, kind, _limit, command in instance.services:
            _service(instance, draft, name, kind, command)
        for name, kind, parameter, value in instance.overrides:
            if parameter in _USUAL.get(kind, ()):
                continue
            if (instance.directory, name) in draft.providers and parameter == "smtp_tls_security_level":
                continue
            mismatch = parameter == "smtpd_sender_restrictions" and value == "reject_sender_login_mismatch"
            if not mismatch:
                why = "the fleet's services have options of their own"
                draft.notes.leave(instance.directory, f"{name}/{kind}: -o {parameter}", value, why, OVERLAY)


def _service(instance: Instance, draft: Draft, name: str, kind: str, command: str) -> None:
    port = name.rpartition(":")[2]
    if (kind, command) == ("inet", "smtpd"):
        if "submission" in draft.successors[instance.directory] and port not in _SUBMISSION_PORTS:
            _port(instance, draft.notes, name)
        return
    known = name in MASTER_SERVICES or name in ("submission", "smtps", "submissions")
    if command == "smtp" and not known:
        known = (instance.directory, name) in draft.providers or _is_source(instance, name)
    if not known or command in ("pipe", "postscreen"):
        why = "the fleet's master.cf has no such service"
        draft.notes.leave(instance.directory, f"{name}/{kind}", command, why, OVERLAY)


def _port(instance: Instance, notes: Notes, name: str) -> None:
    """A port where mail came in without signing in, or from the world."""
    why = "a fleet takes mail on 587 and 465, under TLS, from whoever signs in; port 25 is for bounces and reports"
    remedy = "give each client a credential (clients: limits where from), and point it to balancing.name"
    notes.leave(instance.directory, f"{name}/inet", "smtpd", why, remedy)


def _is_source(instance: Instance, name: str) -> bool:
    return any(service == name and other.startswith("smtp_bind_address") for service, _, other, _ in instance.overrides)
