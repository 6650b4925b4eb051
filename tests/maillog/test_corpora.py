"""Real logs that none of us wrote: everything that names a message is understood, and both time stamp forms of one run
give one ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder, Said
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import SECOND, Hardness, Message, Rows, Verdict, moment_of

Corpus = Callable[[str], bytes]
REFERENCE = moment_of(datetime(2026, 12, 31, tzinfo=UTC))

LOGS = [
    "edge_postfix-3.10.13_postlogd.log.gz",
    "edge_postfix-3.7.11_rsyslog-bsd.log.gz",
    "edge_postfix-3.7.11_rsyslog-rfc3339.log.gz",
    "postfix-3.10.13_postlogd_22390.log.gz",
    "postfix-3.7.11_two-instances_rsyslog-bsd_207690.log.gz",
    "postfix-3.7.11_two-instances_rsyslog-rfc3339_207690.log.gz",
]
TWINS = [
    ("edge_postfix-3.7.11_rsyslog-bsd.log.gz", "edge_postfix-3.7.11_rsyslog-rfc3339.log.gz"),
    (
        "postfix-3.7.11_two-instances_rsyslog-bsd_207690.log.gz",
        "postfix-3.7.11_two-instances_rsyslog-rfc3339_207690.log.gz",
    ),
]


def rows_of(data: bytes) -> Rows:
    tracker = Tracker(Labels(), lambda dsn, reply, provider: Verdict(Hardness.SOFT, "test"))
    reader = LogReader(tracker, REFERENCE)
    reader.read(data)
    return tracker.take(reader.last)


@pytest.mark.parametrize("name", LOGS)
def test_every_line_is_understood(corpus: Corpus, name: str) -> None:
    recorder = Recorder()
    data = corpus(name)
    assert LogReader(recorder, REFERENCE).read(data) == data.count(b"\n") == len(recorder.said)
    assert [said for said in recorder.said if said.event in ("unknown", "foreign", "cut")] == []


@pytest.mark.parametrize("name", LOGS)
def test_every_delivery_line_is_a_row_with_its_fields(corpus: Corpus, name: str) -> None:
    data = corpus(name)
    deliveries = rows_of(data).deliveries
    statuses = Counter(delivery.outcome.status for delivery in deliveries)
    assert len(deliveries) == sum(b": to=<" in line for line in data.splitlines())
    assert statuses[b"unknown"] == 0
    assert all(delivery.delays is not None for delivery in deliveries)


@pytest.mark.parametrize("name", LOGS)
def test_accepted_is_what_left_the_queue_and_what_is_in_it(corpus: Corpus, name: str) -> None:
    messages = rows_of(corpus(name)).messages
    assert len({message.id for message in messages}) == len(messages)
    removed = corpus(name).count(b": removed\n")
    ended_by_line = sum(
        message.end_kind in (b"removed", b"expired", b"force-expired", b"deleted") for message in messages
    )
    assert ended_by_line == removed


@pytest.mark.parametrize("name", LOGS)
def test_no_message_leaves_the_queue_without_an_attempt_on_each_recipient(corpus: Corpus, name: str) -> None:
    rows = rows_of(corpus(name))
    attempts = Counter(delivery.message for delivery in rows.deliveries)
    assert [message for message in rows.messages if message.end_kind == b"removed" and not attempts[message.id]] == []
    assert [message for message in rows.messages if message.origin is None] == []


@pytest.mark.parametrize(("bsd", "rfc3339"), TWINS)
def test_both_stamp_forms_give_equal_ledgers(corpus: Corpus, bsd: str, rfc3339: str) -> None:
    def without_fractions(rows: Rows) -> tuple[list[Any], ...]:
        def whole(at: int | None) -> int | None:
            return None if at is None else at // SECOND

        return (
            [
                row._replace(
                    started_at=row.started_at // SECOND,
                    ended_at=whole(row.ended_at),
                    first_active_at=whole(row.first_active_at),
                )
                for row in rows.messages
            ],
            [row._replace(at=row.at // SECOND) for row in rows.deliveries],
            [row._replace(at=row.at // SECOND) for row in rows.events],
        )

    assert without_fractions(rows_of(corpus(bsd))) == without_fractions(rows_of(corpus(rfc3339)))


def test_rows_do_not_depend_on_how_the_log_is_cut_into_batches(corpus: Corpus) -> None:
    data = corpus("edge_postfix-3.7.11_rsyslog-rfc3339.log.gz")
    tracker = Tracker(Labels(), lambda dsn, reply, provider: Verdict(Hardness.SOFT, "test"))
    reader = LogReader(tracker, REFERENCE)
    messages: dict[int, Message] = {}
    deliveries = []
    for line in data.splitlines(keepends=True):
        reader.read(line)
        rows = tracker.take(reader.last)
        messages |= {row.id: row for row in rows.messages}
        for change in rows.changes:
            said = {name: value for name, value in change._asdict().items() if value is not None}
            messages[change.id] = messages[change.id]._replace(**said)
        deliveries += rows.deliveries
    whole = rows_of(data)
    assert deliveries == whole.deliveries
    assert sorted(messages.values()) == sorted(whole.messages)


# Single lines of three public projects, with what those projects read from them.


def single_lines(corpus: Corpus, source: str) -> Iterator[tuple[dict[str, Any], Said]]:
    for line in corpus("lines.jsonl").splitlines():
        case = json.loads(line)
        if case["source"] != source:
            continue
        recorder = Recorder()
        raw: str = case["raw"].rstrip("\n").replace("\r\n", "  ")
        whole = raw if case["kind"] == "line" else f"Nov  1 00:00:00 h postfix/{case.get('daemon', 'smtp')}[1]: {raw}"
        LogReader(recorder, REFERENCE).read(whole.encode() + b"\n")
        yield case, recorder.said[0]


#: Not lines but parts of lines: what the project's patterns use inside others.
PARTS = ("grok/command_counter_data", "grok/delays", "grok/tls_features_0007", "grok/tls_features_0009")
#: grok's field -> ours. Fields that hold several others are compared through those.
GROK = {
    "postfix_action": ("action",),
    "postfix_client_hostname": ("name", "client_name"),
    "postfix_client_ip": ("address", "client_address"),
    "postfix_client_port": ("port",),
    "postfix_relay_hostname": ("name",),
    "postfix_relay_ip": ("address",),
    "postfix_relay_port": ("port",),
    "postfix_status": ("status",),
    "postfix_status_code": ("code",),
    "postfix_status_code_enhanced": ("status",),
    "postfix_smtp_stage": ("stage",),
    "postfix_from": ("sender",),
    "postfix_message-id": ("message_id",),
    "postfix_version": ("version",),
    "postfix_config_path": ("configuration",),
    "postfix_termination_signal": ("signal",),
    "postfix_message_level": ("level", "action"),
    "postfix_message": ("message", "stage"),
    "postfix_error_response": ("reply",),
    "postfix_pipe_response": ("reply",),
    "postfix_smtp_response": ("reply",),
    "postfix_milter_data": ("text",),
    "postfix_postscreen_access": ("result",),
    "postfix_postscreen_violation": ("result",),
    "postfix_postscreen_violation_time": ("seconds",),
    "postfix_postscreen_toobusy_data": ("text",),
    "postfix_server_ip": ("server_address",),
    "postfix_server_port": ("server_port",),
    "postfix_postsuper_action": ("action",),
    "postfix_postsuper_summary_action": ("action",),
    "postfix_postsuper_summary_count": ("count",),
    "postfix_dnsbl_domain": ("domain",),
    "postfix_dnsbl_result": ("result",),
    "postfix_service": ("service",),
    "postfix_anvil_conn_count": ("count",),
    "postfix_anvil_conn_rate": ("count",),
    "postfix_anvil_conn_period": ("period",),
    "postfix_anvil_cache_size": ("count",),
    "postfix_anvil_timestamp": ("at",),
    "postfix_scache_hits": ("hits",),
    "postfix_scache_miss": ("misses",),
    "postfix_scache_success": ("success",),
    "postfix_scache_domains": ("domains",),
    "postfix_scache_addresses": ("addresses",),
    "postfix_scache_connection": ("connections",),
    "postfix_verify_cleanup_type": ("what",),
    "postfix_verify_cache_retained": ("retained",),
    "postfix_verify_cache_dropped": ("dropped",),
    "postfix_tls_trustlevel": ("trust",),
    "postfix_tls_version": ("protocol",),
    "postfix_tls_cipher": ("cipher",),
    "postfix_tls_cipher_size": ("bits",),
    "postfix_tls_key_exchange": ("key_exchange",),
    "postfix_tls_server_signature": ("server_signature",),
    "postfix_tls_server_signature_curve": ("server_signature_key",),
    "postfix_tls_server_digest": ("server_digest",),
    "postfix_tls_error": ("reason",),
    "postfix_proxy_result": ("action",),
    "postfix_proxy_smtp_stage": ("stage",),
}


def values(said: Said) -> dict[str, str]:
    found = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in said.fields.items()}
    if ":" in found.get("client", "") or "[" in found.get("client", ""):
        found["name"], _, rest = found["client"].partition("[")
        found["address"], _, port = rest.partition("]")
        found["port"] = port.lstrip(":")
    return found


def _agree(ours: str, theirs: str) -> bool:
    """Equal, or one holds the other: what belongs to a field is cut a little differently."""
    return ours == theirs or (ours != "" and (ours in theirs or theirs in ours))


def test_the_lines_of_grok_patterns_give_what_they_expect(corpus: Corpus) -> None:
    checked = 0
    for case, said in single_lines(corpus, "grok_patterns"):
        if case["id"].startswith(PARTS):
            continue
        found = values(said)
        assert said.event not in ("unknown", "foreign"), case["raw"]
        if "postfix_queueid" in case["expected"]:
            assert (said.queue_id or b"NOQUEUE").decode() == case["expected"]["postfix_queueid"]
        for field, wanted in case["expected"].items():
            ours = [found.get(name, "") for name in GROK.get(field, ())]
            if ours:
                checked += 1
                assert any(_agree(value, wanted) for value in ours), (case["raw"], field, wanted, found)
    assert checked > 180


MSIMERSON = {
    "to": "recipient",
    "from": "sender",
    "relay": "relay",
    "delay": "delay",
    "delays": "delays",
    "dsn": "dsn",
    "conn_use": "connection_use",
    "size": "size",
    "nrcpt": "recipients",
    "message-id": "message_id",
    "resent-message-id": "message_id",
    "sasl_method": "sasl_method",
    "sasl_username": "sasl_username",
    "dsnQid": "child",
    "uid": "uid",
}


def test_the_lines_of_postfix_parser_give_what_they_expect(corpus: Corpus) -> None:
    checked = 0
    for case, said in single_lines(corpus, "msimerson"):
        if case["expected"] is None or case["raw"].startswith(("to=", "uid=")):
            continue  # a line that is cut inside the recipient; lines that lost their queue id
        found = values(said)
        assert said.event not in ("unknown", "foreign"), case["raw"]
        if "qid" in case["expected"]:
            assert said.queue_id is not None
            assert said.queue_id.decode() == case["expected"]["qid"]
        for field, ours in MSIMERSON.items():
            if field in case["expected"]:
                checked += 1
                assert found[ours] == case["expected"][field], case["raw"]
    assert checked > 30


def test_the_lines_of_crowdsec_are_attempts_to_get_in(corpus: Corpus) -> None:
    kinds = {said.event for _, said in single_lines(corpus, "crowdsec")}
    assert kinds == {"decision", "sasl-failed"}
