"""The control host's timer: what it asks of the ledger exists there, and takes the inventory's retention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.ledger.connection import connect
from smtpctl.ledger.keeper import maintain
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet

if TYPE_CHECKING:
    from tests.conftest import Cluster

INVENTORY = Path(__file__).resolve().parents[2] / "inventory" / "reference.yml"

pytestmark = pytest.mark.postgres


def rendered_retention() -> dict[str, int]:
    """What the rendered configuration of the control host's program says of retention: class to seconds."""
    host = render_fleet(load_fleet(INVENTORY), Secrets({}, placeholders=True), hosts=["control1"])["control1"]
    retention: dict[str, int] = json.loads(host.files["/etc/smtpctl/ledger.json"].content)["retention"]
    return retention


def test_the_timer_makes_days_ahead_and_drops_those_past_the_retention(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    days = load_fleet(INVENTORY).retention.ledger // 86400
    with connect(postgres.conninfo(database), application="test") as connection:
        for age in (days - 1, days + 2):
            connection.execute("SELECT ledger.make_day(current_date - %s::int)", [age])
        maintain(connection, {"retention": rendered_retention(), "metrics_file": str(tmp_path / "ledger.prom")})
        kept = connection.execute(
            "SELECT to_regclass(to_char(current_date - %s::int, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL,"
            " to_regclass(to_char(current_date - %s::int, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL,"
            " to_regclass(to_char(current_date + 7, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL",
            [days - 1, days + 2],
        ).fetchone()
    assert kept == (True, False, True)
