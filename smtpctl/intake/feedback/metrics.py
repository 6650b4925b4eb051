"""What the processor counts. Labels are words of ours: never an address, a domain or a message id."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Counters of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.mails = Counter(
            "smtpctl_feedback_mails_total", "Mails stored, by what they are.", ["kind"], registry=registry
        )
        self.bounces = Counter(
            "smtpctl_feedback_bounces_total",
            "Recipients of stored reports, by category and hardness.",
            ["category", "hardness"],
            registry=registry,
        )
        self.duplicates = Counter(
            "smtpctl_feedback_duplicates_total", "Rows that the ledger had already.", registry=registry
        )
        self.failures = Counter(
            "smtpctl_feedback_failures_total",
            "Mails left to Postfix's queue (database, program, session) or stored unread (reader).",
            ["reason"],
            registry=registry,
        )
        self.store_seconds = Histogram(
            "smtpctl_feedback_store_seconds", "Time to store one mail durably.", registry=registry
        )
        self.database_up = Gauge(
            "smtpctl_feedback_database_up", "1 when the last mail was stored, 0 when it was not.", registry=registry
        )
