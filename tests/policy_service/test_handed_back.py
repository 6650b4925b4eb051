"""What DATA charged comes back through a real database when the message is refused later, and only then."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy_service.daemons import Client, running

RULES = Path(__file__).parent / "dialogues" / "rules.json"
FILTER = "FILTER small:[127.0.0.1]:10027"
FULL = "450 4.7.1 Limit of 4 recipients an hour for credential bulky reached"

pytestmark = pytest.mark.postgres


@pytest.fixture
def client(tmp_path: Path, conninfo: str) -> Iterator[Client]:
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    (tmp_path / "rules.json").write_text(json.dumps(rules | {"strict": True}), encoding="utf-8")
    arguments = ["serve", "--rules", f"{tmp_path}/rules.json", "--listen", f"unix:{tmp_path}/s", "--database", conninfo]
    with running(tmp_path / "daemon", *arguments, "--name", "edge1"):
        client = Client(tmp_path / "s")
        yield client
        client.close()


class Messages:
    """Messages of three recipients of a credential that may have four an hour."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0

    def _ask(self, state: str, size: int = 0) -> str:
        about = {"sasl_username": "bulky", "sender": "a@shop.test", "instance": f"9.{self._number}"}
        return self._client.ask(state, **about, recipient_count="3", size=str(size))

    def begin(self) -> str:
        self._number += 1
        return self._ask("DATA")

    def end(self, size: int) -> str:
        return self._ask("END-OF-MESSAGE", size)

    def accepted_soon(self) -> bool:
        """Whether one more fits within a few seconds: what is handed back is told to the database behind."""
        until = time.monotonic() + 10
        while (answer := self.begin()) != FILTER and time.monotonic() < until:
            assert answer.startswith(FULL)
            time.sleep(0.2)
        return answer == FILTER


def test_a_message_that_is_refused_at_its_end_gives_back_what_it_was_charged(client: Client) -> None:
    messages = Messages(client)
    assert messages.begin() == FILTER
    assert messages.end(60_000).startswith("552 5.3.4 60000 bytes")
    assert messages.accepted_soon()
    assert messages.end(1000) == "DUNNO"
    assert messages.begin().startswith(FULL), "one that was sent keeps its charge"


def test_a_message_whose_end_never_comes_gives_it_back_too(client: Client) -> None:
    messages = Messages(client)
    # Postfix says nothing of what another restriction refused: the next message of the connection tells.
    assert messages.end(1000) == "DUNNO"
    assert messages.begin() == FILTER
    assert messages.accepted_soon()
