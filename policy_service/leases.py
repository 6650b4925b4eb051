"""The permits that this process holds, and what it asks the shared truth for. A pure state machine over values.

Invariant: a unit is spent only when the truth has counted it before: charged to the key's timestamp (a decision of the
truth, or reserve), or held as a lease that this process still has and whose end has not come. Whatever is not known for
certain (an answer that did not arrive, a process that died) stays counted. So every failure makes a limit stricter.

Time is this process's monotonic clock in nanoseconds, handed in. A lease's end is reckoned from when the exchange was
*sent*, so it is never later than the truth's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import exp

from policy_service.exchange import Answer, Ask, Exchange, KeyAnswer, Report
from policy_service.gcra import SECOND, Shape, wait
from policy_service.loan import Loan

#: A message waits for the truth no longer than this; then the reserve decides. Well under the 250 ms that every reply
#: is promised within, since whoever looks at the clock does so a little late.
LONGEST_WAIT = 190_000_000

#: An exchange may be on its way for so long before its connection is given up: a server that writes its checkpoint
#: stalls now and then, and is all right after it.
PATIENCE = SECOND

#: What the truth said of a key's level is believed this long for refusing without asking again.
LEVEL_BELIEVED = SECOND

#: A key that was not asked for so long hands its permits back.
IDLE = 2 * SECOND

#: A key that was not asked for so long is forgotten, its reserve with it (that was charged when it was taken). By then
#: its share would have refilled it, in a fiftieth of the window at most: being forgotten gives nobody a second reserve.
FORGOTTEN = 900 * SECOND

#: What a client is told where only the database can say more.
LOOK_AGAIN = 60 * SECOND

#: Keys looked at for forgetting in one round of housekeeping, so that it takes no noticeable time.
SWEPT_AT_ONCE = 1000

#: Most messages and keys of one exchange, so that one statement stays within milliseconds.
LARGEST_EXCHANGE = 500

#: Demand is what was charged in about so long, and below so many units it is never leased ahead: a key that is asked
#: for now and then is exact on whichever host it is used.
DEMAND_MEMORY = 4 * SECOND
LEAST_DEMAND = 3.0


@dataclass(slots=True)
class Lease:
    """Permits of one generation. ``spent`` of them were used and not yet reported."""

    generation: int
    available: int
    spent: int
    end: int


@dataclass(slots=True, eq=False)
class Key:
    """What this process knows of one key. ``limit`` is the caller's own name for it."""

    name: str
    shape: Shape
    limit: object
    leases: list[Lease] = field(default_factory=list)
    reserve: int = 0
    backlog: int = 0
    backlog_at: int = -LEVEL_BELIEVED
    used: int = 0
    demand: float = 0.0
    demand_at: int = 0
    unreported_since: int = 0
    refilled: int = 0

    def available(self, now: int) -> int:
        """Leased permits that may be spent now. Those past their end are gone: the truth has charged them."""
        leases = self.leases
        if not leases:
            return 0
        if leases[0].end <= now:
            leases = self.leases = [lease for lease in leases if lease.end > now]
        return leases[0].available if len(leases) == 1 else sum(lease.available for lease in leases)

    def spend(self, units: int, now: int) -> None:
        """Use ``units`` permits, the oldest first; ``available`` has said that there are so many."""
        for lease in self.leases:
            taken = min(units, lease.available)
            lease.available -= taken
            lease.spent += taken
            units -= taken
        self.unreported_since = self.unreported_since or now

    def note_demand(self, units: int, now: int) -> None:
        """Keep the units that were charged lately, older ones counting less and less."""
        self.demand = self.demand * exp((self.demand_at - now) / DEMAND_MEMORY) + units
        self.demand_at = now

    def wanted(self, now: int) -> int:
        """Permits to lease ahead: about two seconds' demand, none for a key that is asked for now and then."""
        demand = self.demand * exp((self.demand_at - now) / DEMAND_MEMORY)
        return int(demand / 2) if self.shape.leasable and demand >= LEAST_DEMAND else 0

    def roomy(self, now: int) -> bool:
        """Whether less than half of the burst was taken when the truth spoke last, and that was not long ago."""
        return now - self.backlog_at <= LEVEL_BELIEVED and 2 * self.backlog < self.shape.burst * self.shape.interval

    def refusal(self, units: int, now: int) -> int:
        """Nanoseconds until ``units`` fit by what the truth said last; 0 when they may, or nothing recent is known."""
        age = now - self.backlog_at
        if age > LEVEL_BELIEVED or not self.backlog:
            return 0
        return wait(max(self.backlog - age, 0), units, self.shape.interval, self.shape.burst)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not charged: the key that has no room, and in how many nanoseconds it would have."""

    key: Key
    wait: int
    #: The truth did not answer and the reserve does not suffice: the limit itself may well have room.
    away: bool = False


class _Granted:
    """The message is charged."""


GRANTED = _Granted()
Outcome = _Granted | Refusal


@dataclass(slots=True, eq=False)
class Charge:
    """One message that waits to be charged: units by key, and who is told."""

    units: list[tuple[Key, int]]
    tell: Callable[[Outcome], None]
    deadline: int
    told: bool = False

    def answer(self, outcome: Outcome) -> None:
        """Tell, unless the answer came from the reserve already. What the truth charged then stays charged."""
        if not self.told:
            self.told = True
            self.tell(outcome)


@dataclass(slots=True, eq=False)
class Sent:
    """An exchange on its way, with the keys of its asks and the messages of its charges."""

    exchange: Exchange
    keys: list[Key]
    charges: list[Charge]
    at: int


class Book:
    """All keys of this process. ``connected`` says whether the truth is believed to answer."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.connected = False
        self.loan = Loan()
        #: How many processes share the quotas, and whether this is one of those that have a reserve and a share.
        self.processes = 1
        self.entitled = True
        self._waiting: deque[Charge] = deque()
        self._unanswered: deque[Charge] = deque()
        self._due: dict[Key, None] = {}
        self._leased: dict[Key, None] = {}
        self._to_sweep: list[Key] = []

    def key(self, name: str, shape: Shape, limit: object) -> Key:
        """The key of that name, made when it is new; a changed limit takes effect at once."""
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(name, shape, limit)
        elif key.shape is not shape:
            key.shape, key.limit = shape, limit
            key.reserve = min(key.reserve, shape.reserve)
        return key

    def charge(self, units: list[tuple[Key, int]], tell: Callable[[Outcome], None], now: int) -> Outcome | None:
        """Charge a message now, or return None and ``tell`` later. All of its keys are charged, or none."""
        covered = True
        for key, count in units:
            key.used = now
            if key.available(now) < count:
                covered = False
        if covered:
            for key, count in units:
                key.note_demand(count, now)
                key.spend(count, now)
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
            needed = key.refusal(count, now)
            if needed and key.available(now) < count:
                return Refusal(key, needed)
        return None

    @property
    def waiting(self) -> int:
        """Messages that wait for the truth."""
        return len(self._waiting)

    @property
    def due(self) -> bool:
        """Whether some key would like to lease ahead or to report."""
        return bool(self._due)

    def build(self, now: int) -> Sent | None:
        """The next exchange, or None when there is nothing to say. What it returns or reports is out of hand now."""
        charges = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_EXCHANGE))]
        keys = {key: None for charge in charges for key, _ in charge.units}
        for key in list(self._due):
            if len(keys) >= LARGEST_EXCHANGE:
                break
            keys.setdefault(key, None)
        if not keys:
            return None
        charged = {key for charge in charges for key, _ in charge.units}
        return self._write(sorted(keys, key=lambda key: key.name.encode()), charged, charges, now)

    def build_return(self) -> Sent | None:
        """An exchange that hands back everything, for shutdown."""
        keys = sorted((key for key in self.keys.values() if key.leases), key=lambda key: key.name.encode())
        return self._write(keys, set(keys), [], 0, final=True) if keys else None

    def apply(self, sent: Sent, answer: Answer) -> None:
        """Take what the truth granted, and tell the messages."""
        for key, state in zip(sent.keys, answer.keys, strict=True):
            self._take(key, state, sent.at)
            if key.leases:
                self._leased[key] = None
        for charge, verdict in zip(sent.charges, answer.verdicts, strict=True):
            if verdict.refused_by < 0:
                for key, count in charge.units:
                    # Noted as of the sending, which keeps a key's moments in order enough for an average.
                    key.note_demand(count, max(sent.at, key.demand_at))
                charge.answer(GRANTED)
            else:
                charge.answer(Refusal(sent.keys[verdict.refused_by], verdict.wait))

    def lost(self, sent: Sent, now: int) -> None:
        """The answer did not come: whatever it granted is as good as spent; its messages fall back on the reserve."""
        for charge in sent.charges:
            self._fall_back(charge, now)

    def disconnect(self, now: int) -> None:
        """The truth is away: messages that wait are answered from the reserve now."""
        self.connected = False
        while self._waiting:
            self._fall_back(self._waiting.popleft(), now)
        self.expire(now)

    def expire(self, now: int) -> None:
        """Answer the messages that waited too long, in line or on their way."""
        while self._unanswered and (self._unanswered[0].told or self._unanswered[0].deadline <= now):
            self._fall_back(self._unanswered.popleft(), now)
        while self._waiting and self._waiting[0].told:
            self._waiting.popleft()

    def tend(self, now: int) -> None:
        """Housekeeping, a few times a second: reports that are due, idle permits back, keys without use forgotten."""
        for key in list(self._leased):
            key.available(now)
            late = key.unreported_since and now - key.unreported_since >= _report_after(key.shape)
            if not key.leases:
                del self._leased[key]
            elif late or now - key.used >= IDLE:
                self._due[key] = None
        if not self._to_sweep:
            self._to_sweep = list(self.keys.values())
        for key in self._to_sweep[-SWEPT_AT_ONCE:]:
            if not key.leases and now - key.used >= max(FORGOTTEN, key.shape.window // 50):
                self.keys.pop(key.name, None)
                self._due.pop(key, None)
        del self._to_sweep[-SWEPT_AT_ONCE:]

    def _watch(self, key: Key, now: int) -> None:
        """Ask for more permits before the last one is spent."""
        if key not in self._due and 2 * key.available(now) < key.wanted(now):
            self._due[key] = None

    def _fall_back(self, charge: Charge, now: int) -> None:
        if not charge.told:
            charge.answer(self._from_reserve(charge.units, now))

    def _from_reserve(self, units: list[tuple[Key, int]], now: int) -> Outcome:
        for key, count in units:
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
            wanted = 0 if final else key.wanted(now)
            # A key that one of these messages needs gives its permits back first where the truth may need them for it.
            keep = (key not in charged or key.roomy(now)) and (wanted > 0 or now - key.used < IDLE)
            request.reports += _reports(key, index, keep=keep)
            held = sum(lease.available for lease in key.leases)
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
        key.reserve += state.reserved
        if not state.leased:
            return
        end = sent_at + state.expires
        for lease in key.leases:
            if lease.generation == state.generation:
                lease.available += state.leased
                return
        key.leases.append(Lease(state.generation, state.leased, 0, end))


def _reserve_wait(key: Key, count: int) -> int:
    """Nanoseconds until the reserve may suffice; where it never will, a time to look for the database again."""
    if not key.shape.share or count > key.shape.reserve:
        return LOOK_AGAIN
    return (count - key.reserve) * key.shape.share


def _report_after(shape: Shape) -> int:
    """Nanoseconds until spent permits are reported: until then they do not decay, which short windows would feel."""
    return min(SECOND, shape.window // 100)


def _reports(key: Key, index: int, *, keep: bool) -> list[Report]:
    """What became of the permits of ``key``; they are out of its hands by this, but for those that it keeps."""
    reports = []
    for lease in key.leases:
        returned = 0 if keep else lease.available
        if lease.spent or returned:
            reports.append(Report(index, lease.generation, lease.spent, returned))
        lease.spent = 0
        lease.available -= returned
    key.leases = [lease for lease in key.leases if lease.available]
    key.unreported_since = 0
    return reports
