"""The queues of the fleet as one: mail that waits on two relays, looked at and acted on from outside."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def listed(*options: str) -> list[dict[str, Any]]:
    """Messages as `queue list --json` prints them."""
    text = smtpctl("queue", "list", "-i", str(INVENTORY), "--json", *options).stdout
    return [json.loads(line) for line in text.splitlines()]


def acted(action: str, *options: str) -> dict[str, Any]:
    text = smtpctl("queue", action, "-i", str(INVENTORY), "--yes", "--json", *options).stdout
    found: dict[str, Any] = json.loads(text)
    return found


def wait_for(count: int, *options: str, patience: float = 150.0) -> list[dict[str, Any]]:
    """The messages on the relays, as soon as they are so many."""
    deadline = time.monotonic() + patience
    while len(found := listed("--host", "relay1", "--host", "relay2", *options)) != count:
        assert time.monotonic() < deadline, f"{len(found)} and not {count} messages after {patience} s: {found}"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def waiting(applied: AppliedFleet) -> tuple[str, list[str]]:
    """A mark, and six recipients with full mailboxes whose mail waits on the relays: four receipts, two newsletters."""
    mark = uuid.uuid4().hex[:10]
    shop = [f"full+{mark}.{number}@gmail.test" for number in range(4)]
    news = [f"full+{mark}.{number}@yahoo.test" for number in (4, 5)]
    with applied.lab.entered():
        for recipient in shop:
            applied.send(recipient)
        for recipient in news:
            applied.send(recipient, credential="newsletter", sender="hello@news.test")
        wait_for(6, "--reply", f"full+{mark}", "--queue", "deferred")
    return mark, [*shop, *news]


def test_mail_is_found_by_everything_that_it_has(waiting: tuple[str, list[str]]) -> None:
    mark, recipients = waiting
    mine = ("--reply", mark)
    assert {message["recipients"][0]["address"] for message in listed(*mine)} == set(recipients)
    assert len(listed(*mine, "--address", recipients[0])) == 1
    assert len(listed(*mine, "--domain", "gmail.test")) == 4
    assert len(listed(*mine, "--provider", "yahoo")) == 2
    assert len(listed(*mine, "--sender", "@shop.test")) == 4
    assert len(listed(*mine, "--sender", "hello@news.test")) == 2
    assert len(listed(*mine, "--pool", "marketing")) == 2
    assert len(listed(*mine, "--stream", "transactional")) == 4
    assert len(listed(*mine, "--header", "Subject: A test", "--provider", "google")) == 4
    assert len(listed(*mine, "--younger", "1h", "--larger", "100", "--smaller", "1M")) == 6
    (found,) = listed(*mine, "--address", recipients[5])
    assert [message["queue_id"] for message in listed(found["queue_id"])] == [found["queue_id"]]
    assert listed(*mine, "--older", "1h") == listed(*mine, "--larger", "1M") == listed(*mine, "--queue", "hold") == []


def test_mail_of_a_credential_is_found_on_relays_through_the_ledger(waiting: tuple[str, list[str]]) -> None:
    mark, _ = waiting
    wait_for(2, "--reply", mark, "--credential", "newsletter")
    wait_for(4, "--reply", mark, "--credential", "shop")
    assert listed("--reply", mark, "--credential", "trickle") == []


def test_top_counts_alike_replies_together(waiting: tuple[str, list[str]]) -> None:
    mark, _ = waiting
    text = smtpctl("queue", "top", "-i", str(INVENTORY), "--by", "reply", "--reply", mark, "--json").stdout
    assert mark not in text
    document = json.loads(text)
    assert document["messages"] == sum(group["messages"] for group in document["groups"]) == 6
    assert len(document["groups"]) == 2


def test_mail_is_held_released_tried_again_returned_and_deleted(applied: AppliedFleet) -> None:
    mark = uuid.uuid4().hex[:10]
    first, second, third = recipients = [f"full+{mark}.{number}@gmail.test" for number in range(3)]
    for recipient in recipients:
        applied.send(recipient)
    wait_for(3, "--reply", mark, "--queue", "deferred")

    assert acted("hold", "--address", first, "--address", second)["selected"] == 2
    assert len(listed("--queue", "hold", "--reply", mark)) == 2
    before = tried(applied, first)
    assert acted("release", "--address", first, "--queue", "hold")["selected"] == 1
    assert acted("retry", "--address", first)["selected"] == 1
    until(lambda: tried(applied, first) > before)

    (message,) = listed("--address", second)
    assert acted("bounce", "--address", second)["selected"] == 1
    wait_for(0, "--address", second)
    returned = ["grep", "-c", f"{message['queue_id']}: .*status=force-expired, returned to sender", "/var/log/mail.log"]
    assert applied.lab.run(message["host"], returned).stdout.strip() == "1"

    wait_for(1, "--address", first, "--queue", "deferred")
    assert acted("delete", "--address", first)["acted"]
    assert listed("--address", first) == []
    # what was not chosen is where it was
    assert [message["recipients"][0]["address"] for message in listed("--reply", mark)] == [third]


def test_the_content_is_shown_only_when_asked_for_and_that_is_logged(
    applied: AppliedFleet, waiting: tuple[str, list[str]]
) -> None:
    _, recipients = waiting
    (message,) = listed("--address", recipients[3])
    shown = smtpctl("queue", "show", "--address", recipients[3], "-i", str(INVENTORY)).stdout
    assert recipients[3] in shown
    assert "Subject:" not in shown
    log = ["grep", "-c", f"content-shown .*queue_id={message['queue_id']} by=", "/var/log/mail.log"]
    assert applied.lab.run(message["host"], log, check=False).stdout.strip() == "0"
    shown = smtpctl("queue", "show", message["queue_id"], "-i", str(INVENTORY), "--content").stdout
    assert "Subject: A test" in shown
    assert applied.lab.run(message["host"], log).stdout.strip() == "1"


def test_showing_everything_is_refused() -> None:
    result = smtpctl("queue", "show", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "which message?" in result.stderr) == (2, True)


def test_acting_on_everything_takes_more_than_yes() -> None:
    result = smtpctl("queue", "delete", "-i", str(INVENTORY), "--yes", check=False)
    assert result.returncode == 2
    assert "nothing is chosen" in result.stderr


def test_what_does_nothing_where_it_is_asked_for_is_refused() -> None:
    result = smtpctl("queue", "release", "-i", str(INVENTORY), "--queue", "deferred", "--yes", check=False)
    assert result.returncode == 2
    assert "release does nothing in deferred" in result.stderr


def tried(applied: AppliedFleet, recipient: str) -> int:
    """How often relays have tried a recipient, from their logs."""
    counts = [
        applied.lab.run(host, ["grep", "-c", f"to=<{recipient}>.*status=deferred", "/var/log/mail.log"], check=False)
        for host in ("relay1", "relay2")
    ]
    return sum(int(count.stdout) for count in counts)
