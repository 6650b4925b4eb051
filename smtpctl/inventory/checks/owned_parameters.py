"""Parameters of main.cf that smtpctl keeps to itself, because a promise of the fleet hangs on them.

Everything else of postconf(5) may be set through the escape hatch; a template overlay can change these too, and then
whoever wrote it answers for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

#: What to do about a parameter that no key of the inventory stands for.
OVERLAY = "leave it to smtpctl; if it has to differ, replace the template in an overlay folder (templates:)"


@dataclass(frozen=True, slots=True)
class Owned:
    """Parameters (patterns as in fnmatch) that decide one thing, and what to set in their place."""

    decides: str
    patterns: tuple[str, ...]
    instead: str = ""


OWNED: tuple[Owned, ...] = (
    Owned(
        "who may send through this instance",
        (
            "mynetworks",
            "mynetworks_style",
            "smtpd_*_restrictions",
            "smtpd_restriction_classes",
            "smtpd_delay_reject",
            "smtpd_delay_open_until_valid_rcpt",
            "smtpd_authorized_*",
            "smtpd_upstream_proxy_protocol",
            "smtpd_policy_service_*",
            "relay_domains",
            "permit_mx_backup_networks",
        ),
    ),
    Owned(
        "who is signed in, and as which sender",
        (
            "smtpd_sasl_*",
            "smtpd_sender_login_maps",
            "smtpd_tls_auth_only",
            "smtpd_tls_security_level",
            "smtpd_tls_wrappermode",
            "smtpd_enforce_tls",
            "smtpd_use_tls",
        ),
    ),
    Owned(
        "which mail is checked and signed",
        (
            "smtpd_milters",
            "smtpd_milter_maps",
            "non_smtpd_milters",
            "milter_default_action",
            "receive_override_options",
        ),
    ),
    Owned(
        "where mail goes, and from which address",
        (
            "content_filter",
            "default_transport",
            "inet_interfaces",
            "mydestination",
            "relay_transport",
            "relayhost",
            "sender_dependent_*",
            "smtp_bind_address",
            "smtp_bind_address6",
            "smtp_bind_address_enforce",
            "smtp_helo_name",
            "transport_maps",
        ),
    ),
    Owned(
        "which addresses bounces and reports come back to",
        (
            "canonical_*",
            "recipient_canonical_*",
            "sender_canonical_*",
            "smtp_generic_maps",
            "local_recipient_maps",
            "virtual_*",
        ),
    ),
    Owned("who gets a copy of the mail", ("always_bcc", "*_bcc_maps")),
    Owned("what a message tells about the client that sent it", ("smtpd_hide_client_session",)),
    Owned(
        "how the ledger recognises this instance and its messages",
        ("syslog_name", "syslog_facility", "maillog_file*", "enable_long_queue_ids", "myhostname"),
    ),
    Owned(
        "where the instance lives and as whom it runs",
        (
            "*_directory",
            "alternate_config_directories",
            "mail_owner",
            "setgid_group",
            "default_privs",
            "multi_instance_*",
            "import_environment",
            "export_environment",
        ),
    ),
    Owned(
        "which certificate the instance shows",
        ("smtpd_tls_*cert_file", "smtpd_tls_*key_file", "smtpd_tls_chain_files", "smtpd_tls_CA*"),
    ),
    Owned(
        "the oldest TLS protocol",
        ("smtpd_tls_protocols", "smtpd_tls_mandatory_protocols"),
        "set tls.minimum",
    ),
    Owned(
        "how mail to providers is encrypted",
        ("smtp_tls_security_level", "smtp_tls_policy_maps", "smtp_tls_per_site", "smtp_use_tls", "smtp_enforce_tls"),
        "set tls of the provider",
    ),
    Owned(
        "how long a message is tried",
        ("maximal_queue_lifetime", "bounce_queue_lifetime"),
        "set queue_lifetime of the pool",
    ),
)


def reason_against(parameter: str) -> Owned | None:
    """Why a parameter is not for the inventory, if it is not."""
    for owned in OWNED:
        if any(fnmatchcase(parameter, pattern) for pattern in owned.patterns):
            return owned
    return None
