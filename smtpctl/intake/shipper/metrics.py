"""What Prometheus is told about a shipper."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

REGISTRY = CollectorRegistry()

LINES = Counter("smtpctl_shipper_lines", "Log lines that are in the ledger.", registry=REGISTRY)
ROWS = Counter("smtpctl_shipper_rows", "Rows added to the ledger.", ["table"], registry=REGISTRY)
UNKNOWN = Counter("smtpctl_shipper_unknown_lines", "Lines that were not understood.", registry=REGISTRY)
REFUSED = Counter("smtpctl_shipper_refused_lines", "Lines that the ledger would not take in.", registry=REGISTRY)
GAPS = Counter("smtpctl_shipper_gaps", "Times that a part of the log could not be read.", registry=REGISTRY)
FAILURES = Counter("smtpctl_shipper_failures", "Times that the database could not be used.", registry=REGISTRY)
COMMIT = Histogram(
    "smtpctl_shipper_commit_seconds",
    "Time from reading lines to having them committed.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
LAG_BYTES = Gauge("smtpctl_shipper_lag_bytes", "Bytes of the open log that are not in the ledger.", registry=REGISTRY)
LAG_SECONDS = Gauge(
    "smtpctl_shipper_lag_seconds", "Age of the oldest line that is not in the ledger; 0 when none.", registry=REGISTRY
)
OPEN_MESSAGES = Gauge("smtpctl_shipper_open_messages", "Messages held in memory.", registry=REGISTRY)
ACTIVE = Gauge("smtpctl_shipper_active", "1 while this shipper holds the lease of its log.", registry=REGISTRY)


def serve(address: str) -> None:
    """Answer Prometheus on ``ADDRESS:PORT``."""
    host, _, port = address.rpartition(":")
    start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1", registry=REGISTRY)
