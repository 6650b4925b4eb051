"""What the fleet's Postfix would do otherwise: parameters of the host held against the rendered main.cf.

Nothing is known beforehand of what smtpctl sets; what differs is found by looking at what it renders. The tables below
only give reasons: a difference without one is told all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from smtpctl.inventory.checks.owned_parameters import OVERLAY, reason_against
from smtpctl.inventory.checks.pools import MASTER_SERVICES
from smtpctl.operate.adoption.draft import oldest_protocol
from smtpctl.operate.adoption.facts import Instance, Server
from smtpctl.operate.adoption.report import Change, Draft, Left
from smtpctl.operate.adoption.ways import OWN_TABLE, goes_elsewhere, seconds_of

#: Parameters (patterns) that the draft says in other words, and where.
SAID = {
    "myhostname": "hosts, sources.helo",
    "mydomain": "domains.infrastructure",
    "myorigin": "domains.infrastructure",
    "smtp_bind_address*": "hosts.HOST.sources",
    "smtp_helo_name": "hosts.HOST.sources",
    "default_transport": "hosts.HOST.sources, pools",
    "sender_dependent_default_transport_maps": "streams, credentials.NAME.stream",
    "smtpd_sender_login_maps": "credentials.NAME.senders",
    "maximal_queue_lifetime": "pools.POOL.queue_lifetime",
    "default_destination_*_limit": "providers.default",
    "smtp_destination_*_limit": "providers.default",
    "smtp_destination_rate_delay": "providers.default.delay",
    "smtp_tls_security_level": "providers.NAME.tls",
    "smtpd_sasl_*": "credentials; Dovecot keeps their verifiers",
    "smtpd_tls_cert_file": "the fleet's own authority (tls/HOST in the secrets)",
    "smtpd_tls_key_file": "the fleet's own authority (tls/HOST in the secrets)",
    "smtpd_tls_chain_files": "the fleet's own authority (tls/HOST in the secrets)",
    "smtpd_tls_*protocols": "tls.minimum",
    "smtpd_tls_security_level": "submission always asks for TLS",
    "smtpd_tls_auth_only": "submission always asks for TLS",
    "multi_instance_*": "an instance a role and a pool",
    "*_directory": "an instance a role and a pool",
    "syslog_name": "an instance a role and a pool",
    "inet_interfaces": "hosts.HOST.address, and the packet filter",
    "inet_protocols": "hosts.HOST.address",
    "relayhost": "pools deliver to where the MX points",
    "alias_*": "mailboxes",
    "transport_maps": "providers; rows that are no provider's are listed by themselves",
    "local_transport": "no host of a fleet delivers to users of its own",
    "smtpd_banner": "balancing.name",
    "smtp_tls_session_cache_database": "each pool keeps its own",
    "bounce_queue_lifetime": "pools.POOL.queue_lifetime, which holds for both",
    "compatibility_level": "that of Postfix 3.10",
}

#: Parameters (patterns) that the fleet has another way for: why, and what to do.
OTHERWISE = {
    "mynetworks*": (
        "nobody may send without signing in",
        "give each client a credential; its clients: says from which networks",
    ),
    "mydestination": ("hosts keep no mail of users", "mailboxes, for the fleet's own people; or another server"),
    "virtual_*": (
        "hosts keep and forward no mail of users",
        "mailboxes, for the fleet's own people; or another server",
    ),
    "smtpd_*_restrictions": (
        "who may send what is decided by credentials, limits and rules (the policy service)",
        "credentials, limits, rules; what is left of it in an overlay template",
    ),
    "relayhost": ("every pool delivers to where the MX points", OWN_TABLE),
    "default_transport": ("every pool delivers to where the MX points", OWN_TABLE),
    "sender_dependent_relayhost_maps": ("every pool delivers to where the MX points", OWN_TABLE),
    "smtp_sasl_*": ("providers are sent to without signing in", OWN_TABLE),
    "smtp_sender_dependent_authentication": ("providers are sent to without signing in", OWN_TABLE),
    "defer_transports": ("transports are named otherwise", "smtpctl pause says what waits"),
    "postscreen_*": ("the world reaches port 25 of the feedback role only, which takes bounces and reports", OVERLAY),
    "milter_default_action": ("mail that cannot be signed waits (tempfail)", "nothing to do"),
    "non_smtpd_milters": ("submission takes mail by SMTP only", "nothing to do"),
    "smtpd_milters": (
        "the fleet signs by itself; of other milters it knows nothing",
        "nothing to do where it was OpenDKIM alone; else an overlay template with the milter's package and unit",
    ),
}

#: What decides how mail comes in, and how it goes out; all else holds for both.
_INCOMING = ("smtpd_*", "milter_*", "non_smtpd_*")
_OUTGOING = ("smtp_*", "*_destination_*", "*_backoff_time", "*_queue_lifetime", "queue_run_delay", "qmgr_*")
_TABLE = re.compile(r"(^|[\s,:])(?:proxy:)?[a-z]+:[^\s:]*/|(^|[\s,])/")


def carried(server: Server, draft: Draft, rendered: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Parameters for the escape hatch, by new instance: those that differ, and that an inventory may set."""
    found: dict[str, dict[str, str]] = {}
    for instance, becomes in _pairs(server, draft):
        after = parse(rendered[becomes])
        for name, value in instance.parameters.items():
            if (
                _of_a_transport(instance, name)
                or _same(name, value, _expanded(name, after, server.defaults))
                or not _concerns(name, becomes)
            ):
                continue
            if name in server.defaults and not _said(name, value) and not _why_not(name, value):
                found.setdefault(becomes, {})[name] = value
    return found


def changes(server: Server, draft: Draft, rendered: Mapping[str, str]) -> tuple[list[Change], list[Left]]:
    """Every parameter whose value differs, and those of them that nothing in the draft stands for."""
    changed: list[Change] = []
    left: dict[tuple[str, str], Left] = {}
    for instance, becomes in _pairs(server, draft):
        after = parse(rendered[becomes])
        for name in sorted({*instance.parameters, *after}):
            was = instance.parameters.get(name, server.defaults.get(name, ""))
            will_be = _expanded(name, after, server.defaults)
            if name not in server.defaults and name not in instance.parameters:
                continue  # limits of transports that the host does not have
            if _same(name, was, will_be):
                continue
            changed.append(Change(instance.directory, becomes, name, was, will_be))
            ours = name == "mynetworks" and becomes != "submission"  # pools take mail from submission hosts
            if name in instance.parameters and _concerns(name, becomes) and not _said(name, was) and not ours:
                left[instance.directory, name] = _left(server, draft, instance, name, was)
    found = [entry for entry in left.values() if entry.why]
    return changed, [*found, *(entry for instance in server.instances for entry in _of_no_concern(draft, instance))]


def _of_no_concern(draft: Draft, instance: Instance) -> Iterator[Left]:
    """Parameters that none of the new instances would look at: how a pool takes mail, how submission hands it on."""
    becomes = draft.successors[instance.directory]
    names = [name for name in instance.parameters if not any(_concerns(name, new) for new in becomes)]
    if names and not becomes:
        why = "it takes mail from this host and hands it on here, such as to a filter: no part of the fleet does"
        yield Left(instance.directory, "the whole instance", ", ".join(names), why, OVERLAY)
    elif names:
        why = "a pool takes mail from submission hosts only" if "submission" not in becomes else "pools deliver"
        yield Left(instance.directory, "set, and the draft has no use for it", ", ".join(names), why, "nothing to do")


def _left(server: Server, draft: Draft, instance: Instance, name: str, value: str) -> Left:
    if _of_a_transport(instance, name):
        known = (instance.directory, name.partition("_destination_")[0]) in draft.providers
        why = "" if known else "no recipient domain is sent through this transport"
        return Left(instance.directory, name, value, why, "a provider with these limits")
    if name not in server.defaults:
        why = "a parameter of its own making, which the fleet's main.cf does not use"
        return Left(instance.directory, name, value, why, OVERLAY)
    why, remedy = _why_not(name, value) or ("another value stands in the draft", "look at it by hand")
    return Left(instance.directory, name, value, why, remedy)


def _why_not(name: str, value: str) -> tuple[str, str] | None:
    """Why a parameter cannot be carried over, and what to do."""
    for pattern, otherwise in OTHERWISE.items():
        if fnmatchcase(name, pattern):
            return otherwise
    owned = reason_against(name)
    if owned is not None:
        return f"smtpctl keeps it to itself: it decides {owned.decides}", owned.instead or OVERLAY
    if _TABLE.search(value):
        return "it names a file that the fleet does not have", "an overlay template can bring both"
    if not value or "$" in value or not value.isprintable():
        return "its value cannot stand alone in an inventory", OVERLAY
    return None


def _of_a_transport(instance: Instance, name: str) -> bool:
    """Whether a parameter is about one transport that somebody added to master.cf."""
    return any(
        name.startswith(f"{service}_") and command == "smtp" and service not in MASTER_SERVICES
        for service, _, _, command in instance.services
    )


def _pairs(server: Server, draft: Draft) -> Iterator[tuple[Instance, str]]:
    for instance in server.instances:
        for becomes in draft.successors[instance.directory]:
            yield instance, becomes


def _concerns(name: str, becomes: str) -> bool:
    """Whether a parameter of the old instance is the new one's business."""
    against = _OUTGOING if becomes == "submission" else _INCOMING
    return not any(fnmatchcase(name, pattern) for pattern in against)


def _said(name: str, value: str) -> str:
    """Where the inventory says it; nothing where it does not, or not this value."""
    if name in ("relayhost", "default_transport") and goes_elsewhere(name, value):
        return ""
    if fnmatchcase(name, "smtpd_tls_*protocols") and oldest_protocol({name: value}) not in ("TLSv1.2", "TLSv1.3"):
        return ""
    return next((words for pattern, words in SAID.items() if fnmatchcase(name, pattern)), "")


def how(change: Change) -> str:
    """Where the inventory says it instead; nothing where it is smtpctl's own way."""
    if change.parameter == "mynetworks" and change.becomes != "submission":
        return "a pool takes mail from submission hosts"
    return _said(change.parameter, change.was)


def parse(text: str) -> dict[str, str]:
    """Parameters of a main.cf (postconf(5)): continued lines joined, comments left out."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            found[name] = f"{found[name]} {line.strip()}".strip()
            continue
        name, _, value = line.partition("=")
        name = name.strip()
        found[name] = value.strip()
    return found


def _expanded(name: str, set_here: Mapping[str, str], defaults: Mapping[str, str], depth: int = 0) -> str:
    value = set_here.get(name, defaults.get(name, ""))
    if depth > 10:
        return value

    def one(match: re.Match[str]) -> str:
        return _expanded(match[1] or match[2] or match[3], set_here, defaults, depth + 1)

    return re.sub(r"\$(?:(\w+)|\{(\w+)\}|\((\w+)\))", one, value)


def _same(name: str, one: str, other: str) -> bool:
    if one == other or re.split(r"[,\s]+", one) == re.split(r"[,\s]+", other):
        return True
    unit = "d" if name.endswith("_lifetime") else "h" if name == "delay_warning_time" else "s"
    seconds = seconds_of(one, unit)
    return (
        seconds is not None
        and seconds == seconds_of(other, unit)
        and any(re.fullmatch(r"\d+[smhdw]", text) for text in (one, other))
    )
