"""The permits that this process holds, and what it asks the shared truth for. A pure state machine over values.

Invariant: a unit is spent only when the truth has counted it before: charged to the key's timestamp (a decision of the
truth, or reserve), or held as a lease that this process still has and whose end has not come. Whatever is not known for
certain (an answer that did not arrive, a process that died) stays counted. So every failure makes a limit stricter.

Time is this process's monotonic clock in nanoseconds, handed in. A lease's end is reckoned from when the exchange was
*sent*, so it is never later than the truth's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from policy_service.agenda import Agenda
from policy_service.charges import GRANTED, Charge, HandBack, Outcome, Refusal, Sent
from policy_service.exchange import Answer, Ask, Exchange, KeyAnswer
from policy_service.gcra import SECOND, Shape
from policy_service.idle import Idle
from policy_service.key import LEVEL_BELIEVED, Key, spend
from policy_service.loan import LATE, Loan

#: A message waits for the truth no longer than this; then the reserve decides. Well under the 250 ms that every reply
#: is promised within, since whoever looks at the clock does so a little late.
LONGEST_WAIT = 190_000_000

#: An exchange may be on its way for so long before its connection is given up: a server that writes its checkpoint
#: stalls now and then, and is all right after it.
PATIENCE = SECOND

#: A key that was not asked for so long is forgotten, its reserve with it (that was charged when it was taken). By then
#: its share would have refilled it, in a fiftieth of the window at most: being forgotten gives nobody a second reserve.
FORGOTTEN = 900 * SECOND

#: A key without a reserve knows nothing that the truth does not; it is forgotten after so long.
FORGOTTEN_EMPTY = 10 * SECOND

#: A key that holds no leases is kept small after so long: by then no exchange that it was in is on its way.
IDLE_AFTER = 2 * SECOND

#: What a client is told where only the database can say more.
LOOK_AGAIN = 60 * SECOND

#: Time between two rounds of housekeeping, and where one has left something to do: no round takes longer than the
#: answers of a few messages.
TEND_EVERY = SECOND // 10
TEND_SOON = SECOND // 200

#: Keys that hold leases looked at in one round; and keys looked at whether they are in use at all, each of them once in
#: ``SWEEP_EVERY``.
TENDED_AT_ONCE = 20
SWEPT_AT_ONCE = 200
SWEEP_EVERY = SECOND // 2

#: Of many keys more are looked at in a round, so that so many rounds see all: what is kept too long takes room.
SWEEP_ROUNDS = 100
MOST_SWEPT_AT_ONCE = 2000

#: Keys that the rules name are looked at so often, well before one would be forgotten.
NAMED_EVERY = 300 * SECOND

#: Most messages of one exchange, so that one statement stays within milliseconds; and most keys that are due without a
#: message that waits, so that building it does not keep other messages waiting.
LARGEST_EXCHANGE = 500
MOST_DUE = 20

#: A key by its name: the name, the shape and what the caller calls the limit.
Named: TypeAlias = tuple[str, Shape, object]


class Book:
    """All keys of this process. ``connected`` says whether the truth is believed to answer."""

    def __init__(self) -> None:
        #: Keys in use; what is known of the others is in ``idle``.
        self.keys: dict[str, Key] = {}
        self.idle = Idle()
        self.connected = False
        self.loan = Loan()
        #: How many processes share the quotas, and whether this is one of those that have a reserve and a share.
        self.processes = 1
        self.entitled = True
        self._waiting: deque[Charge] = deque()
        self._unanswered: deque[Charge] = deque()
        self._due: dict[Key, None] = {}
        self._agenda = Agenda()
        self._handed_back: list[HandBack] = []
        self._to_sweep: list[Key] = []
        self._swept_at_once = SWEPT_AT_ONCE
        self._next_sweep = self._next_shelf = 0
        #: When the next round of housekeeping is worth an occasion of its own.
        self.next_round = 0
        self._named: Callable[[], Iterable[Named]] = tuple
        self._to_name: Iterator[Named] = iter(())
        self._next_naming = 0

    def stand_by(self, named: Callable[[], Iterable[Named]]) -> None:
        """Hold the reserve of each of these keys from now on, whether anybody asks for it or not."""
        self._named = named
        self._name_again(0)

    def key(self, name: str, shape: Shape, limit: object, now: int) -> Key:
        """The key of that name, made when it is new; a changed limit takes effect at once."""
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(name, shape, limit, now)
            self.idle.take(key)
        elif key.limit is not limit:
            key.shape, key.limit = shape, limit
            key.reserve = min(key.reserve, shape.reserve)
        return key

    def current(self, key: Key, now: int) -> Key:
        """The key in use of that name: ``key`` itself, which may have been idle, unless another was made meanwhile."""
        found = self.keys.get(key.name)
        if found is None:
            found = self.keys[key.name] = key
            key.used = now
            self.idle.take(key)
        return found

    def charge(self, units: Sequence[tuple[Key, int]], tell: Callable[[Outcome], None], now: int) -> Outcome | None:
        """Charge a message now, or return None and ``tell`` later. All of its keys are charged, or none."""
        covered = True
        for key, count in units:
            key.note_demand(0, now)
            covered = covered and key.holding is not None and key.cover(count, now)
        if covered:
            spend(units, now)
            for key, _ in units:
                self._watch(key, now)
            return GRANTED
        if refusal := self.refusal(units, now):
            return refusal
        if not self.connected:
            return self._from_reserve(units, now)
        charge = Charge(units, tell, now + LONGEST_WAIT)
        self._waiting.append(charge)
        self._unanswered.append(charge)
        return None

    def refusal(self, units: Iterable[tuple[Key, int]], now: int) -> Refusal | None:
        """The refusal that is certain without asking the truth, if there is one."""
        for key, count in units:
            shape = key.shape
            # Nearly always there is room even if nothing had decayed.
            full = key.backlog > (shape.burst - count) * shape.interval
            if full and (needed := key.refusal(count, now)) and not key.cover(count, now):
                return Refusal(key, needed)
        return None

    def hand_back(self, units: Iterable[tuple[Key, int]], charged_at: int, now: int) -> None:
        """A message that was charged at ``charged_at`` is not sent. What is certain to be left of its charge goes back.

        Permits of a lease that nobody was told of yet are simply not spent. A charge of the truth's has decayed by the
        time that passed at most: only what lies beyond is taken off, so the key never stands better than if the message
        had not come.
        """
        for key, count in units:
            key.settle(now)
            key.backlog = 0
            if not key.unspend(count, now):
                left = count * key.shape.interval - (now - charged_at) - LATE
                if left > 0:
                    self._handed_back.append(HandBack(key.name, left, now + LATE))

    def handed_back(self) -> list[HandBack]:
        """What the truth is to be told, once."""
        told, self._handed_back = self._handed_back, []
        return sorted(told, key=lambda one: one.key.encode())

    @property
    def waiting(self) -> int:
        """Messages that wait for the truth."""
        return len(self._waiting)

    def first_waiting(self, most: int) -> list[Charge]:
        """The messages that have waited longest for the truth."""
        return list(islice(self._waiting, most))

    def take_waiting(self, count: int) -> None:
        """So many of them are on their way."""
        for _ in range(count):
            self._waiting.popleft()

    def plain(self, keys: Iterable[Key], now: int) -> bool:
        """Whether the truth need hear nothing of these keys but what they are charged."""
        due, entitled = self._due, self.entitled
        for key in keys:
            shape = key.shape
            if key.holding is not None or key in due or (entitled and key.reserve < shape.reserve):
                return False
            if shape.leasable and key.wanted(now):
                return False
        return True

    @property
    def due(self) -> bool:
        """Whether some key would like to lease ahead or to report, or something is handed back."""
        return bool(self._due or self._handed_back)

    def build(self, now: int) -> Sent | None:
        """The next exchange, or None when there is nothing to say. What it returns or reports is out of hand now."""
        charges = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_EXCHANGE))]
        keys = {key: None for charge in charges for key, _ in charge.units}
        keys.update(dict.fromkeys(islice(self._due, MOST_DUE)))
        if not keys:
            return None
        charged = {key for charge in charges for key, _ in charge.units}
        return self._write(sorted(keys, key=lambda key: key.name.encode()), charged, charges, now)

    def build_return(self, now: int) -> Sent | None:
        """An exchange that hands back everything, for shutdown."""
        keys = sorted((key for key in self.keys.values() if key.holding), key=lambda key: key.name.encode())
        return self._write(keys, set(), [], now, final=True) if keys else None

    def apply(self, sent: Sent, answer: Answer) -> None:
        """Take what the truth granted, and tell the messages."""
        for key, state in zip(sent.keys, answer.keys, strict=True):
            self._take(self.current(key, sent.at), state, sent.at)
        for charge, verdict in zip(sent.charges, answer.verdicts, strict=True):
            if verdict.refused_by < 0:
                for key, count in charge.units:
                    key.note_demand(count, sent.at)
                charge.answer(GRANTED)
            else:
                charge.answer(Refusal(sent.keys[verdict.refused_by], verdict.wait))

    def lost(self, charges: Iterable[Charge], now: int) -> None:
        """The answer did not come: whatever it granted is as good as spent; its messages fall back on the reserve."""
        for charge in charges:
            self._fall_back(charge, now)

    def disconnect(self, now: int) -> None:
        """The truth is away: messages that wait are answered from the reserve now."""
        self.connected = False
        while self._waiting:
            self._fall_back(self._waiting.popleft(), now)
        self.expire(now)
        # What is spent of the reserves meanwhile is taken again as soon as the truth is back.
        self._name_again(now)

    def expire(self, now: int) -> None:
        """Answer the messages that waited too long, in line or on their way."""
        while self._unanswered and (self._unanswered[0].told or self._unanswered[0].deadline <= now):
            self._fall_back(self._unanswered.popleft(), now)
        while self._waiting and self._waiting[0].told:
            self._waiting.popleft()

    def tend(self, now: int) -> None:
        """A round of housekeeping where it is time: reports that are due, idle permits back, unused keys forgotten."""
        if now >= self.next_round:
            self.next_round = now + (TEND_SOON if self._round(now) else TEND_EVERY)

    def catch_up(self, now: int) -> None:
        """All housekeeping that is due, for who keeps nobody waiting by it."""
        while self._round(now):
            pass

    def _round(self, now: int) -> bool:
        """Some of what is due. Whether there is more."""
        for key in self._agenda.due(now, TENDED_AT_ONCE):
            self._tend(key, now)
        if not self._to_sweep and now >= self._next_sweep:
            self._to_sweep = list(self.keys.values())
            self._swept_at_once = min(max(len(self._to_sweep) // SWEEP_ROUNDS, SWEPT_AT_ONCE), MOST_SWEPT_AT_ONCE)
            self._next_sweep = now + SWEEP_EVERY
        for key in self._to_sweep[-self._swept_at_once :]:
            self._sweep(key, now)
        del self._to_sweep[-self._swept_at_once :]
        if now >= self._next_shelf:
            self.idle.sweep(now)
            self._next_shelf = now + TEND_EVERY
        named = self.connected and self.entitled and now >= self._next_naming and self._look_after_named(now)
        return named or bool(self._to_sweep) or self._agenda.waits(now)

    def _name_again(self, now: int) -> None:
        self._to_name = iter(self._named())
        self._next_naming = now

    def _look_after_named(self, now: int) -> bool:
        """Of the keys that have a reserve by the rules alone, ask for what some lack. Whether there may be more."""
        looked_at = 0
        for name, shape, limit in islice(self._to_name, TENDED_AT_ONCE):
            looked_at += 1
            key = self.key(name, shape, limit, now)
            if key.holding is None:
                key.note_demand(0, now)
            self._refill(key, now)
            if key.reserve < shape.reserve:
                self._due[key] = None
        if not looked_at:
            self._name_again(now + NAMED_EVERY)
        return bool(looked_at)

    def _tend(self, key: Key, now: int) -> None:
        key.settle(now)
        if now >= key.until:
            key.cover(0, now)
        holding = key.holding
        if holding is None:
            return
        late = holding.unreported_since and now - holding.unreported_since >= _report_after(key.shape)
        if late or _idle(key, now):
            self._due[key] = None
        else:
            self._watch(key, now)
        self._agenda.add(key, min(now + _look_after(key.shape), max(_idle_at(key), now + TEND_EVERY)))

    def _sweep(self, key: Key, now: int) -> None:
        if key.backlog and now - key.backlog_at > LEVEL_BELIEVED:
            # It says nothing any more, and a number takes room.
            key.backlog = key.backlog_at = 0
        if key.holding is None and now - key.used >= IDLE_AFTER and self.keys.get(key.name) is key:
            del self.keys[key.name]
            self._due.pop(key, None)
            self.idle.put(key, _forgotten_after(key))

    def _watch(self, key: Key, now: int) -> None:
        """Ask for more permits before the last one is spent."""
        if key not in self._due and key.low(now):
            self._due[key] = None

    def _fall_back(self, charge: Charge, now: int) -> None:
        if not charge.told:
            charge.answer(self._from_reserve(charge.units, now))

    def _from_reserve(self, units: Sequence[tuple[Key, int]], now: int) -> Outcome:
        for key, count in units:
            key.note_demand(0, now)
            self._refill(key, now)
            if key.reserve < count:
                return Refusal(key, _reserve_wait(key, count), away=True)
        for key, count in units:
            key.reserve -= count
        return GRANTED

    def _refill(self, key: Key, now: int) -> None:
        """Add what this process's share gave since, up to the reserve's size."""
        if self.entitled:
            found, key.refilled = self.loan.refill(key.refilled, now, key.shape.share)
            key.reserve = min(key.reserve + found, key.shape.reserve)

    def _write(
        self, keys: list[Key], charged: set[Key], charges: list[Charge], now: int, *, final: bool = False
    ) -> Sent:
        request = Exchange(processes=self.processes)
        positions: dict[Key, int] = {}
        for index, key in enumerate(keys):
            positions[key] = index
            self._due.pop(key, None)
            key.settle(now)
            leaving = final or _idle(key, now)
            wanted = 0 if leaving else key.wanted(now)
            # A key that one of these messages needs gives its permits back first where the truth may need them for it.
            keep = not leaving and (key not in charged or key.roomy(now))
            request.reports += key.report(index, keep=keep, now=now)
            held = key.available()
            shape = key.shape
            missing = max(shape.reserve - key.reserve, 0) if self.entitled and not final else 0
            ask = Ask(key.name, shape.interval, shape.burst, shape.generation, shape.reserve > 0)
            ask.lease, ask.reserve = max(wanted - held, 0), missing
            request.asks.append(ask)
        for charge in charges:
            request.charges.append([(positions[key], units) for key, units in charge.units])
        return Sent(request, keys, charges, now)

    def _take(self, key: Key, state: KeyAnswer, sent_at: int) -> None:
        key.backlog, key.backlog_at = state.backlog, sent_at
        if state.reserved:
            key.reserve += state.reserved
        if state.leased:
            key.take_lease(state.generation, state.leased, sent_at + state.expires, sent_at)
            self._agenda.add(key, sent_at + _look_after(key.shape))


def _reserve_wait(key: Key, count: int) -> int:
    """Nanoseconds until the reserve may suffice; where it never will, a time to look for the database again."""
    if not key.shape.share or count > key.shape.reserve:
        return LOOK_AGAIN
    return (count - key.reserve) * key.shape.share


def _report_after(shape: Shape) -> int:
    """Nanoseconds until spent permits are reported: until then they do not decay, which short windows would feel."""
    return min(shape.memory // 4, shape.window // 100)


def _look_after(shape: Shape) -> int:
    """Nanoseconds until a key that holds permits is looked at again, whether it spent some, and when it did so last."""
    return min(shape.memory // 20, shape.generation // 8)


def _idle(key: Key, now: int) -> bool:
    """Whether a key was not asked for so long that it hands its permits back."""
    return now >= _idle_at(key)


def _idle_at(key: Key) -> int:
    return key.used + key.shape.memory // 2


def _forgotten_after(key: Key) -> int:
    if key.reserve or key.refilled:
        return max(FORGOTTEN, key.shape.window // 50)
    return FORGOTTEN_EMPTY
