"""Which messages of a Postfix queue are meant, from lines of ``postqueue -j``. Pure: lines in, matches out.

A line is one message (postqueue(1), JSON OBJECT FORMAT). What concerns a recipient (address, domain, provider, last
reply) has to hold for one and the same recipient; a message is chosen when one of its recipients is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: What a selection may hold; every member that is there has to hold, and one of a member's values is enough.
#: ``sender`` values are addresses, or @DOMAIN; ages are seconds; sizes are bytes; ``reply`` is a part of the text.
MEMBERS = (
    "ids", "queue", "address", "domain", "sender", "credential", "provider",
    "older", "younger", "larger", "smaller", "reply", "header",
)  # fmt: skip

#: Distinct groups that `top` counts at most; beyond it the smallest are added up as OTHERS.
MOST_GROUPS = 20_000
OTHERS = "(others)"

#: Given a recipient's domain, the name of its provider.
ProviderOf = Callable[[str], str]

_ADDRESS = re.compile(r"<?[^\s<>@]+@[^\s<>]+>?")
_DIGITS = re.compile(r"\d+")
#: A reply's code and enhanced code (RFC 5321 section 4.2, RFC 2034).
_CODES = re.compile(r"[245]\d\d(?:[ -][245]\.\d{1,3}\.\d{1,3})?(?!\d)")

#: json.loads looks for the encoding and for what follows, each time: two thirds of the time without.
_decode = json.JSONDecoder().raw_decode


class Chosen:
    """A message of the queue, and those of its recipients that are meant."""

    __slots__ = ("entry", "recipients")

    def __init__(self, entry: dict[str, Any], recipients: list[dict[str, str]]) -> None:
        self.entry = entry
        self.recipients = recipients

    @property
    def id(self) -> str:
        return str(self.entry["queue_id"])


class Selector:
    """A selection at a moment, ready to be asked of many messages."""

    def __init__(self, selection: Mapping[str, Any], provider_of: ProviderOf, now: float) -> None:
        unknown = sorted(set(selection) - set(MEMBERS))
        if unknown:
            raise ValueError(f"a selection has no {', '.join(unknown)}")
        self._ids = set(selection.get("ids", ()))
        self._queues = set(selection.get("queue", ()))
        self._senders = {value.lower() for value in selection.get("sender", ())}
        self._addresses = {value.lower() for value in selection.get("address", ())}
        self._domains = {value.lower() for value in selection.get("domain", ())}
        self._providers = set(selection.get("provider", ()))
        self._replies = [value.lower() for value in selection.get("reply", ())]
        self._newest = now - selection["older"] if "older" in selection else None
        self._oldest = now - selection["younger"] if "younger" in selection else None
        self._larger = selection.get("larger")
        self._smaller = selection.get("smaller")
        self._provider_of = provider_of
        self._any_recipient = not (self._addresses or self._domains or self._providers or self._replies)

    def choose(self, line: bytes) -> Chosen | None:
        """The message of a line if it is meant."""
        entry: dict[str, Any] = _decode(line.decode())[0]
        if not self._message(entry):
            return None
        recipients: list[dict[str, str]] = entry["recipients"]
        if not self._any_recipient:
            recipients = [recipient for recipient in recipients if self._recipient(recipient)]
            if not recipients:
                return None
        return Chosen(entry, recipients)

    def _message(self, entry: dict[str, Any]) -> bool:
        arrived, size = entry["arrival_time"], entry["message_size"]
        return (
            (not self._ids or entry["queue_id"] in self._ids)
            and (not self._queues or entry["queue_name"] in self._queues)
            and (self._newest is None or arrived <= self._newest)
            and (self._oldest is None or arrived >= self._oldest)
            and (self._larger is None or size >= self._larger)
            and (self._smaller is None or size <= self._smaller)
            and (not self._senders or self._sender(entry["sender"].lower()))
        )

    def _sender(self, sender: str) -> bool:
        return sender in self._senders or sender[sender.rfind("@") :] in self._senders

    def _recipient(self, recipient: dict[str, str]) -> bool:
        address = recipient["address"].lower()
        domain = address[address.rfind("@") + 1 :]
        if self._addresses and address not in self._addresses:
            return False
        if self._domains and domain not in self._domains:
            return False
        if self._providers and self._provider_of(domain) not in self._providers:
            return False
        reply = recipient.get("delay_reason", "").lower()
        return not self._replies or any(part in reply for part in self._replies)


class Count:
    """What was chosen of one queue of one instance, in numbers."""

    __slots__ = ("bytes", "messages", "oldest", "others", "recipients")

    def __init__(self) -> None:
        self.messages = self.recipients = self.bytes = self.others = 0
        self.oldest: float | None = None

    def add(self, chosen: Chosen) -> None:
        """Count a message. ``others`` counts those that have recipients besides the chosen ones."""
        entry = chosen.entry
        self.messages += 1
        self.recipients += len(chosen.recipients)
        self.bytes += entry["message_size"]
        self.others += len(chosen.recipients) < len(entry["recipients"])
        arrived = entry["arrival_time"]
        self.oldest = arrived if self.oldest is None else min(self.oldest, arrived)

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def groups_of(chosen: Chosen, by: str, provider_of: ProviderOf) -> Iterable[str]:
    """The groups that a chosen message counts in, once each: domains, providers, replies, its sender or its queue."""
    entry = chosen.entry
    if by == "sender":
        return (entry["sender"],)
    if by == "sender-domain":
        return (entry["sender"].rpartition("@")[2],)
    if by == "queue":
        return (entry["queue_name"],)
    if by == "reply":
        return {alike(recipient.get("delay_reason", "")) for recipient in chosen.recipients}
    domains = {recipient["address"].rpartition("@")[2].lower() for recipient in chosen.recipients}
    return domains if by == "domain" else {provider_of(domain) for domain in domains}


def alike(reply: str) -> str:
    """A reply without what differs from message to message, so that equal ones count together. Its codes stay."""
    server, said, text = reply.rpartition(" said: ")
    codes = _CODES.match(text)
    end = codes.end() if codes else 0
    return (_masked(server) + said + text[:end] + _masked(text[end:]))[:200] or "(not tried yet)"


def _masked(text: str) -> str:
    words = (_ADDRESS.sub("<…>", word) if "@" in word else word for word in text.split(" "))
    return _DIGITS.sub("#", " ".join(words))


class Groups:
    """Messages by group, in bounded memory: the smallest groups are added up when there are too many."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, groups: Iterable[str]) -> None:
        """Count one message in each of its groups."""
        self.counts.update(groups)
        self._bound()

    def merge(self, other: Groups) -> None:
        """Add what was counted elsewhere."""
        self.counts.update(other.counts)
        self._bound()

    def _bound(self) -> None:
        if len(self.counts) > MOST_GROUPS:
            kept = Counter(dict(self.counts.most_common(MOST_GROUPS // 2)))
            kept[OTHERS] += self.counts.total() - kept.total()
            self.counts = kept
