"""What can be said of every message of one credential, sender and client, worked out once and kept. Pure.

An *outlook* holds whether any rule has something to say at all, the keys that a message is charged to, and the answer
that accepts it. It is thrown away when the rules, the minute, or the held credentials change.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from policy_service.key import Key, Units
from policy_service.leases import Book
from policy_service.protocol import Request, reply
from policy_service.rules import Context, Rule, quota, ramp
from policy_service.ruleset import Credential, Limit, Ruleset

#: Outlooks kept: of as many at least that were used last, of twice as many at most. One takes a kilobyte with its keys,
#: and is worked out anew in less than a message costs otherwise.
KEPT = 2_500

#: Numbers of recipients for which an outlook keeps its units ready.
READY = 16

Name = tuple[bytes, bytes, bytes]

#: Of most messages it need not be known whose they are.
_NOBODY: Mapping[str, str] = MappingProxyType({})


class Outlook:
    """What can be said of every message of one credential, sender and client.

    ``plain``: no rule that is asked once objects. ``simple``: DATA is a matter of units alone. ``attends``: something
    is kept of each recipient, or a header is put on the message. ``largest`` is the most bytes that a message may have,
    0 where there is no such limit; a number of fewer than ``digits`` digits is certainly not more.
    """

    __slots__ = (
        "_ready",
        "accept",
        "at_end",
        "attends",
        "by_provider",
        "credential",
        "digits",
        "header",
        "keys",
        "largest",
        "one",
        "owners",
        "plain",
        "shadow",
        "simple",
    )

    def __init__(self, credential: Credential | None, *, plain: bool) -> None:
        self.credential = credential
        #: Whose a message is, where that is needed to find the limits by provider.
        self.owners = _NOBODY
        self.plain = plain
        self.keys: tuple[Key, ...] = ()
        self.by_provider: tuple[Limit, ...] = ()
        self.at_end: tuple[Key, ...] = ()
        self.shadow: Key | None = None
        self.largest = credential.stream.message_size if credential else 0
        self.digits = len(str(self.largest)) if self.largest else sys.maxsize
        self.accept = _reply(f"FILTER {credential.stream.filter}") if credential else b""
        prepend = credential.stream.prepend if credential else ""
        self.header = _reply(f"PREPEND {prepend}") if prepend else b""
        self.one: Units = ()
        self.simple = self.attends = False
        self._ready: dict[bytes, Units] | None = None

    def units(self, recipients: int) -> Units:
        """The units that a message of so many recipients takes of each key at DATA."""
        return tuple((key, quota.units_of(_limit(key), recipients)) for key in self.keys)

    def ready(self, digits: bytes) -> Units | None:
        """The same, by the attribute's value; None where the message needs a closer look."""
        if not self.simple:
            return None
        if digits == b"1":
            return self.one
        known = self._ready = {} if self._ready is None else self._ready
        units = known.get(digits)
        if units is None and digits.isdigit() and len(digits) < 6 and len(known) < READY and self.credential:
            recipients = max(int(digits), 1)
            units = self.units(recipients)
            if recipients > self.credential.recipients_per_message or any(
                count > key.shape.burst for key, count in units
            ):
                return None
            known[digits] = units
        return units


class Outlooks:
    """The outlooks in use. ``recent`` holds those of late, by user name, sender and, where it matters, client."""

    def __init__(self, ruleset: Ruleset, book: Book, once: tuple[Rule, ...]) -> None:
        self._ruleset = ruleset
        self._book = book
        self._once = once
        self._charging = ruleset.mode(quota.NAME) != "off"
        credentials = ruleset.credentials.values()
        #: Whether the client's address makes a difference.
        self.by_client = any(one.clients or any("client" in limit.key for limit in one.limits) for one in credentials)
        self._by_time = any(one.hours or one.ramp for one in credentials)
        #: Whether something is decided at END-OF-MESSAGE.
        self.ends = any(
            one.stream.message_size or any(limit.counted == "bytes" for limit in one.limits) for one in credentials
        )
        self.recent: dict[Name, Outlook] = {}
        self._older: dict[Name, Outlook] = {}

    def forget(self) -> None:
        """Work everything out again."""
        self.recent, self._older = {}, {}

    def pass_time(self) -> None:
        """Another minute: work out again what depends on the time."""
        if self._by_time:
            self.forget()

    def inherit(self, before: Outlooks) -> None:
        """Know what was known ``before`` of credentials that are the same, under rules that differ in others only."""
        if before.by_client == self.by_client:
            self.recent, self._older = self._same(before.recent), self._same(before._older)

    def _same(self, known: Mapping[Name, Outlook]) -> dict[Name, Outlook]:
        now = self._ruleset.credentials.get
        return {
            name: outlook
            for name, outlook in known.items()
            if (credential := outlook.credential) is not None and now(credential.name) is credential
        }

    def credential(self, user: bytes) -> Credential | None:
        """The credential of a user name; names have no case."""
        return self._ruleset.credentials.get(user.decode("utf-8", "surrogateescape").lower())

    def find(self, name: Name) -> Outlook | None:
        """The outlook of that name, where it is known."""
        outlook = self.recent.get(name) or self._older.get(name)
        if outlook is not None:
            self._keep(name, outlook)
        return outlook

    def work_out(self, name: Name, request: Request, context: Context, now: int) -> Outlook:
        """The outlook of a request's messages, as things are in ``context``."""
        credential = context.credential
        sender = _written(request.sender).lower()
        owners = {
            "credential": credential.name if credential else "",
            # Local parts are compared without case: another spelling must not be another limit.
            "sender": sender,
            "domain": sender.rpartition("@")[2],
            "client": _written(request.client),
            "stream": credential.stream.name if credential else "",
        }
        outlook = Outlook(credential, plain=not any(rule.check(request, context) for rule in self._once))
        if credential is not None:
            self._fill(outlook, credential, owners, context.wall, now)
        self._keep(name, outlook)
        return outlook

    def _fill(self, outlook: Outlook, credential: Credential, owners: Mapping[str, str], wall: float, now: int) -> None:
        limits = list(credential.limits) if self._charging else []
        day = ramp.limit_of_day(credential, wall, self._ruleset.processes)
        ramping = self._ruleset.mode(ramp.NAME)
        if day and ramping == "enforce" and self._charging:
            limits.append(day)
        elif day and ramping == "shadow":
            outlook.shadow = self._key(day, owners, now)
        outlook.by_provider = tuple(limit for limit in limits if "provider" in limit.key)
        outlook.owners = owners if outlook.by_provider else _NOBODY
        at_data = [limit for limit in limits if limit.counted != "bytes" and "provider" not in limit.key]
        outlook.keys = tuple(self._key(limit, owners, now) for limit in at_data)
        outlook.at_end = tuple(self._key(limit, owners, now) for limit in limits if limit.counted == "bytes")
        outlook.one = outlook.units(1)
        outlook.attends = bool(outlook.by_provider or outlook.header)
        outlook.simple = outlook.plain and not (outlook.by_provider or outlook.shadow)

    def _keep(self, name: Name, outlook: Outlook) -> None:
        if len(self.recent) >= KEPT:
            self._older, self.recent = self.recent, {}
        self.recent[name] = outlook

    def _key(self, limit: Limit, owners: Mapping[str, str], now: int) -> Key:
        return self._book.key(limit.bucket(owners), limit.shape, limit, now)

    def providers(self, outlook: Outlook, recipients: Mapping[str, int], now: int) -> Iterable[tuple[Key, int]]:
        """The units that a message takes of the limits by provider, given its recipients by provider."""
        for limit in outlook.by_provider:
            for provider, count in sorted(recipients.items()):
                key = self._key(limit, {**outlook.owners, "provider": provider}, now)
                yield key, quota.units_of(limit, count)

    def known(self, units: Units, now: int) -> Units:
        """The same units of the keys in use; one that was idle is in use again."""
        keys = self._book.keys
        for key, _ in units:
            if keys.get(key.name) is not key:
                return tuple((self._book.current(key, now), count) for key, count in units)
        return units


def _written(value: bytes) -> str:
    """A client's word as part of a name that any database takes: bytes that are no text are written out."""
    return value.decode("utf-8", "backslashreplace").replace("\0", "\\0")


@lru_cache(maxsize=1000)
def _reply(action: str) -> bytes:
    """The reply that carries ``action``; all messages of a stream have the same."""
    return reply(action)


def _limit(key: Key) -> Limit:
    if not isinstance(key.limit, Limit):
        raise TypeError(f"key {key.name!r} stands for no limit")
    return key.limit
