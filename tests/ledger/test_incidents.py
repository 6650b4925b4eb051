# ruff: noqa: E501 - log lines are as long as they are
"""What concerns security, out of the hosts' own log lines; and who has seen it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from smtpctl.ledger.connection import connect
from smtpctl.ledger.reader import Reader
from tests.conftest import Cluster

pytestmark = pytest.mark.postgres

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
LOG = """\
2026-11-21T22:00:01.000000+00:00 edge1 postfix-submission/submission/smtpd[1]: warning: unknown[192.0.2.9]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=shop
2026-11-21T22:00:02.000000+00:00 edge1 postfix-submission/submission/smtpd[1]: warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=admin
2026-11-21T22:00:03.000000+00:00 edge1 postfix-submission/submission/smtpd[2]: NOQUEUE: reject: RCPT from unknown[192.0.2.8]: 554 5.7.1 <x@gmail.test>: Relay access denied; from=<a@b.test> to=<x@gmail.test> proto=ESMTP helo=<x>
2026-11-21T22:00:04.000000+00:00 edge1 smtpctl-policy[3]: notice: decision rule=quota state=DATA credential=shop sender=orders@shop.test recipients=1 client=192.0.2.7 queue_id= instance=x action="DEFER_IF_PERMIT 4.7.1 too many"
2026-11-21T22:00:05.000000+00:00 edge1 smtpctl-policy[3]: notice: would-decide rule=quota state=DATA credential=news sender=hello@news.test recipients=1 client=192.0.2.7 queue_id= instance=x action="DEFER_IF_PERMIT 4.7.1 too many"
2026-11-21T22:00:06.000000+00:00 edge1 smtpctl-policy[3]: warning: incident kind=client severity=critical credential=shop client=198.51.100.1 sender=orders@shop.test instance=x text="REJECT not from here"
"""
AGAIN = """\
2026-11-21T23:00:01.000000+00:00 edge1 postfix-submission/submission/smtpd[1]: warning: unknown[192.0.2.9]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=shop
"""


def test_events_of_one_kind_about_one_subject_are_one_incident(
    ship: Callable[[str, str], None], reader: Reader
) -> None:
    ship("edge1", LOG)
    found = {(row["kind"], row["subject"]): row for row in reader.incidents(SINCE)}
    assert {key: (row["events"], row["severities"]) for key, row in found.items()} == {
        ("login", "192.0.2.9"): (2, ["notice"]),
        ("relay", "192.0.2.8"): (1, ["notice"]),
        ("quota", "shop"): (1, ["notice"]),
        ("client", "shop"): (1, ["critical"]),
    }
    assert found["client", "shop"]["text"] == "REJECT not from here"
    assert len({row["id"] for row in found.values()}) == 4


def test_an_acknowledged_incident_is_open_again_when_it_happens_again(
    ship: Callable[[str, str], None], postgres: Cluster, database: str
) -> None:
    ship("edge1", LOG)
    with connect(postgres.conninfo(database), application="test") as connection:
        connection.execute("SET ROLE ledger_operator")
        operator = Reader(connection)
        operator.acknowledge("login", "192.0.2.9", "ada", "a typing error")
        state = {(row["kind"], row["subject"]): row for row in operator.incidents(SINCE)}["login", "192.0.2.9"]
        assert (state["open"], state["events"], state["acknowledged_by"]) == (False, 0, "ada")
        # what happens again is an hour later in the log
        connection.execute("RESET ROLE")
        connection.execute("UPDATE ledger.acknowledgements SET at = '2026-11-21T22:30:00Z'")
        ship("edge1", AGAIN)
        state = {(row["kind"], row["subject"]): row for row in operator.incidents(SINCE)}["login", "192.0.2.9"]
        assert (state["open"], state["events"], state["events_in_all"]) == (True, 1, 3)
        more = operator.incident("login", "192.0.2.9", SINCE, 10)
    assert [event["client"] for event in more["events"]] == ["192.0.2.9"] * 3
    assert [(mark["who"], mark["why"]) for mark in more["acknowledged"]] == [("ada", "a typing error")]
