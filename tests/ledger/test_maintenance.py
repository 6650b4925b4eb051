"""The control host's timer: what it asks of the ledger exists there, and takes the inventory's retention."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from smtpctl.inventory import load_fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet

if TYPE_CHECKING:
    from tests.conftest import Cluster

INVENTORY = Path(__file__).resolve().parents[2] / "inventory" / "reference.yml"
UNIT = "/etc/systemd/system/smtpctl-ledger-maintenance.service"

pytestmark = pytest.mark.postgres


def statements() -> list[str]:
    """What the rendered unit has psql do."""
    host = render_fleet(load_fleet(INVENTORY), Secrets({}, placeholders=True), hosts=["control1"])["control1"]
    unit = host.files[UNIT].content.decode()
    commands = [shlex.split(line) for line in unit.splitlines() if line.startswith("ExecStart=")]
    return [command[command.index("-c") + 1] for command in commands]


def test_the_timer_makes_days_ahead_and_drops_those_past_the_retention(postgres: Cluster, database: str) -> None:
    days = load_fleet(INVENTORY).retention.ledger // 86400
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
        for age in (days - 1, days + 2):
            connection.execute("SELECT ledger.make_day(current_date - %s::int)", [age])
        for statement in statements():
            connection.execute(statement.encode())
        kept = connection.execute(
            "SELECT to_regclass(to_char(current_date - %s::int, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL,"
            " to_regclass(to_char(current_date - %s::int, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL,"
            " to_regclass(to_char(current_date + 7, '\"ledger.messages_\"YYYYMMDD')) IS NOT NULL",
            [days - 1, days + 2],
        ).fetchone()
    assert kept == (True, False, True)
