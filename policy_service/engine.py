"""From a request to its answer: the rules in their order, the quotas, then the stream. Touches no socket.

RCPT checks and charges nothing; DATA charges the message's recipients once; END-OF-MESSAGE charges its bytes.
``instance`` names a message over all its requests: Postfix asks again, with the same one, when a reply got lost, and
gets the same answer for no second charge.

What does not change from one message of a credential and sender to the next is worked out once (``outlook``). So the
usual message costs a look at a few attributes, one look-up, and a subtraction a limit.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Protocol

from policy_service import pauses
from policy_service.answers import Answers, Asker
from policy_service.charges import GRANTED, Outcome, Refusal
from policy_service.key import Key, Units, spend
from policy_service.leases import Book
from policy_service.message import message_of
from policy_service.outlook import Outlook, Outlooks
from policy_service.protocol import Request, Values, number, reply
from policy_service.reserves import named
from policy_service.rules import RULES, Context, Rule, invalid_recipients, quota, ramp
from policy_service.rules.rule import DATA, END, RCPT, acted
from policy_service.ruleset import Credential, Limit, Ruleset
from policy_service.standing import Standing

DUNNO = reply("DUNNO")
#: Whoever asks something else gets an answer all the same, and one that lets no mail through.
ALIEN = reply("451 4.3.5 The policy service does not know this request")
#: Another process was asked about some recipients, which only a restart in the middle of a message makes possible.
TORN = "451 4.3.0 The policy service has not seen all recipients of this message; send it again"


class Observer(Protocol):
    """Who is told what an operator wants to know."""

    def decision(self, request: Request, rule: str, mode: str, action: str) -> None:
        """A decision that is not DUNNO or FILTER; in shadow mode what it would have been."""

    def incident(self, kind: str, credential: str, request: Request, text: str) -> None:
        """A credential behaves as a stolen one does."""

    def hold(self, credential: str, until: float, reason: str) -> None:
        """A credential is held from now on."""


class Engine:
    """Rules, quotas and the memory of answered messages of one process. ``standing`` says who is held or suppressed."""

    def __init__(self, ruleset: Ruleset, book: Book, observer: Observer, standing: Standing, wall: float) -> None:
        self.book = book
        self.standing = standing
        #: Answers by rule and action, but for the two usual ones, which are plain numbers.
        self.decisions: Counter[tuple[str, ...]] = Counter()
        self.accepted = self.unobjected = 0
        #: Requests by stage.
        self.at_rcpt = self.at_data = self.at_end = 0
        #: What is paused by hand now.
        self.pauses: pauses.Pauses = ()
        self._observer = observer
        self._answers = Answers()
        self._streaks = invalid_recipients.Streaks()
        self._wall = wall
        self._obey(ruleset)

    def load(self, ruleset: Ruleset, wall: float) -> None:
        """Go over to other rules. What was charged stays charged, and a credential that is the same is known."""
        before, known = self.ruleset, self._outlooks
        self._obey(ruleset)
        if ruleset.agrees_with(before):
            self._outlooks.inherit(known)
        self.tick(wall)

    def _obey(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        on = [rule for rule in RULES if ruleset.mode(rule.name) != "off"]
        self._rules = {stage: tuple(rule for rule in on if stage in rule.stages) for stage in (RCPT, DATA, END)}
        self._quota_mode = ruleset.mode(quota.NAME)
        self._outlooks = Outlooks(ruleset, self.book, tuple(rule for rule in on if rule.once))
        self._suppressing = ruleset.mode("suppressed") != "off"
        self.book.stand_by(lambda: named(ruleset, self._wall))

    @property
    def wants_end(self) -> bool:
        """Whether something is decided at END-OF-MESSAGE."""
        return self._outlooks.ends

    def tick(self, wall: float) -> None:
        """Time has passed: what depends on the minute or on held credentials is worked out again."""
        if self.standing.expire(wall):
            self._outlooks.forget()
        elif int(wall) // 60 != int(self._wall) // 60:
            self._outlooks.pass_time()
        self._wall = wall

    def counts(self) -> dict[tuple[str, ...], int]:
        """Answers by rule and action."""
        usual = {("stream", "FILTER"): self.accepted, ("none", "DUNNO"): self.unobjected}
        return {**self.decisions, **{name: count for name, count in usual.items() if count}}

    def decide(self, values: Values, asker: Asker, now: int) -> bytes | None:
        """The reply to a request, or None when ``asker`` will be told.

        Nearly all that are charged end here: a message that was not asked about before, to which no rule objects, and
        for which every limit has leased enough.
        """
        _, stage, client, sender, _, recipients, instance, size, user = values
        if stage == DATA and not self.pauses and not (asker.ended and asker.charged):
            outlook = self._outlooks.recent.get((user, sender, client if self._outlooks.by_client else b""))
            if outlook is not None and len(size) < outlook.digits and instance and instance not in self._answers.known:
                units = outlook.ready(recipients)
                if units is not None:
                    self.at_data += 1
                    if spend(units, now):
                        self.accepted += 1
                        asker.charged = (instance, units, now)
                        self._answers.add(instance, outlook.accept)
                        return outlook.accept
                    answer = self._charge(Request._make(values), outlook, units, asker, now)
                    self._answers.add(instance, [asker] if answer is None else answer)
                    return answer
        return self._decide(Request._make(values), asker, now)

    def _decide(self, request: Request, asker: Asker, now: int) -> bytes | None:
        stage = request.state
        if stage == DATA:
            return self._at_data(request, asker, now)
        if stage == RCPT:
            return self._at_rcpt(request, asker, now)
        if stage == END:
            return self._at_end(request, asker, now)
        return self._elsewhere(request)

    def _elsewhere(self, request: Request) -> bytes:
        """Another stage, or something that is no request of Postfix."""
        if not request.known:
            self.decisions["protocol", "451"] += 1
            return ALIEN
        self.unobjected += 1
        return DUNNO

    def _outlook(self, request: Request, now: int) -> Outlook:
        outlooks = self._outlooks
        name = (request.user, request.sender, request.client if outlooks.by_client else b"")
        outlook = outlooks.recent.get(name) or outlooks.find(name)
        if outlook is None:
            outlook = outlooks.work_out(name, request, self._context(outlooks.credential(name[0])), now)
        return outlook

    def _context(self, credential: Credential | None) -> Context:
        held = self.standing.held.get(credential.name, 0.0) if credential else 0.0
        return Context(credential, self._wall, held, self.standing.suppressed)

    # RCPT: checks, charges nothing.

    def _at_rcpt(self, request: Request, asker: Asker, now: int) -> bytes:
        self.at_rcpt += 1
        outlook = self._outlook(request, now)
        if self._to_object(request, outlook):
            if objection := self._objection(RCPT, request, outlook.credential):
                return objection
        elif self._streaks and outlook.credential:
            self._streaks.valid(outlook.credential.name)
        if self.pauses and (answer := self._pause_at_rcpt(request, asker, outlook)):
            return answer
        if self._quota_mode == "enforce":
            for key in outlook.keys:
                # What no limit has left is refused before the message comes.
                if key.backlog > key.shape.full and (refusal := self.book.refusal(outlook.one, now)):
                    return self._refuse(request, quota.NAME, quota.refusal_text(refusal))
        if outlook.attends and (header := self._attend(request, asker, outlook)):
            return header
        self.unobjected += 1
        return DUNNO

    def _to_object(self, request: Request, outlook: Outlook) -> bool:
        """Whether some rule has something to say about a recipient."""
        if not outlook.plain or (len(request.size) >= outlook.digits and _too_large(request, outlook)):
            return True
        return self._suppressing and self.standing.any_suppressed and self.standing.suppressed(request.recipient)

    def _attend(self, request: Request, asker: Asker, outlook: Outlook) -> bytes | None:
        """Note the recipient's provider where a limit needs it, and put the stream's header on the message once."""
        message = asker.message = message_of(asker.message, request.instance)
        message.note_recipient(request.recipient.lower(), self.ruleset.provider)
        if outlook.header and not message.prepended:
            message.prepended = True
            self.decisions["stream", "PREPEND"] += 1
            return outlook.header
        return None

    def _pause_at_rcpt(self, request: Request, asker: Asker, outlook: Outlook) -> bytes | None:
        """The answer while mail of this kind is paused: refused, or on hold. HOLD is said at RCPT, where it leaves DATA
        to name the pool: a message that is released later knows its way (access(5))."""
        pause = _pause_of(self.pauses, request, outlook)
        if pause is None:
            return None
        if pause.refuse:
            return self._refuse(request, pauses.NAME, pauses.refusal(pause))
        if outlook.attends:
            asker.message = message_of(asker.message, request.instance)
            asker.message.note_recipient(request.recipient.lower(), self.ruleset.provider)
        self.decisions[pauses.NAME, "HOLD"] += 1
        return reply(f"HOLD paused by the operator: {pause.words}")

    # DATA: charges messages and recipients.

    def _at_data(self, request: Request, asker: Asker, now: int) -> bytes | None:
        self.at_data += 1
        instance = request.instance
        known = self._answers.known.get(instance)
        if known is not None:
            return self._again(known, asker)
        outlook = self._outlook(request, now)
        if asker.ended and asker.charged:
            self._hand_back_unended(asker, instance, now)
        units = outlook.ready(request.recipients)
        if self.pauses and (pause := _pause_of(self.pauses, request, outlook)) and pause.refuse:
            answer: bytes | None = self._refuse(request, pauses.NAME, pauses.refusal(pause))
        elif units is None or (len(request.size) >= outlook.digits and _too_large(request, outlook)):
            answer = self._decide_data(request, outlook, asker, now)
        else:
            answer = self._charge(request, outlook, units, asker, now)
        self._answers.keep(instance, [asker] if answer is None else answer)
        return answer

    def _again(self, known: bytes | list[Asker], asker: Asker) -> bytes | None:
        """The answer to a question that was asked before."""
        if isinstance(known, list):
            known.append(asker)
            return None
        self.decisions["repeated", _word(known)] += 1
        return known

    def _decide_data(self, request: Request, outlook: Outlook, asker: Asker, now: int) -> bytes | None:
        if objection := self._objection(DATA, request, outlook.credential):
            return objection
        if outlook.credential is None:
            # The rule that would have refused is switched off; nobody's mail belongs to no stream.
            self.unobjected += 1
            return DUNNO
        recipients = max(number(request.recipients), 1)
        units = outlook.units(recipients)
        if outlook.by_provider:
            message = message_of(asker.message, request.instance)
            if sum(message.providers.values()) < recipients:
                return self._refuse(request, quota.NAME, TORN)
            units = (*units, *self._outlooks.providers(outlook, message.providers, now))
        if outlook.shadow:
            self._charge_shadow(request, outlook.shadow, recipients, now)
        return self._charge_if_ever(request, outlook, units, asker, now)

    def _charge_shadow(self, request: Request, key: Key, recipients: int, now: int) -> None:
        """Charge the limit of a ramp that only logs what it would do."""

        def told(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal):
                self._objected(request, ramp.NAME, "shadow", quota.refusal_text(outcome))

        outcome = self.book.charge(self._outlooks.known(((key, recipients),), now), told, now)
        if outcome is not None:
            told(outcome)

    # END-OF-MESSAGE: charges bytes.

    def _at_end(self, request: Request, asker: Asker, now: int) -> bytes | None:
        self.at_end += 1
        asker.ended = True
        ended = request.instance and request.instance + b"\n"
        known = self._answers.known.get(ended)
        if known is not None:
            return self._again(known, asker)
        outlook = self._outlook(request, now)
        answer: bytes | None = None
        if not outlook.plain or _too_large(request, outlook):
            answer = self._objection(END, request, outlook.credential)
        if answer is not None:
            self._hand_back(asker, request.instance, now)
        elif outlook.at_end and (size := number(request.size)):
            answer = self._charge_bytes(request, outlook, size, asker, now)
        else:
            answer = self._accept(request, outlook, asker)
        self._answers.keep(ended, [asker] if answer is None else answer)
        return answer

    def _charge_bytes(self, request: Request, outlook: Outlook, size: int, asker: Asker, now: int) -> bytes | None:
        units = tuple((key, size) for key in outlook.at_end)
        return self._charge_if_ever(request, outlook, units, asker, now)

    def _hand_back_unended(self, asker: Asker, instance: bytes, now: int) -> None:
        """A connection that goes on to another message has ended the one before: without its end, it was not sent.

        Only where this very connection asks at END-OF-MESSAGE too: another one's ends are not seen here.
        """
        if asker.ended and asker.charged and asker.charged[0] != instance:
            self._hand_back(asker, asker.charged[0], now)

    def _hand_back(self, asker: Asker, instance: bytes, now: int) -> None:
        """Give back what a message was charged at DATA: it is not sent."""
        if asker.charged and asker.charged[0] == instance:
            _, units, charged_at = asker.charged
            self.book.hand_back(units, charged_at, now)
            self.decisions["quota", "handed-back"] += 1
            asker.charged = None

    # What both charging stages share.

    def _charge_if_ever(self, request: Request, outlook: Outlook, units: Units, asker: Asker, now: int) -> bytes | None:
        """Charge all of ``units``, unless one is more than its limit can ever have room for."""
        for key, count in units:
            if isinstance(key.limit, Limit) and (text := quota.beyond_burst(key.limit, count)):
                refusal = self._objected(request, _rule_of(key), self._quota_mode, text)
                return refusal or self._accept(request, outlook, asker)
        return self._charge(request, outlook, units, asker, now)

    def _charge(self, request: Request, outlook: Outlook, units: Units, asker: Asker, now: int) -> bytes | None:
        """Charge all of ``units``, or none and refuse. None: ``asker`` and who asks again will be told."""
        units = self._outlooks.known(units, now)
        charged = partial(self._told, request, outlook, units, asker, now)
        outcome = self.book.charge(units, charged, now) if units else GRANTED
        return None if outcome is None else self._charged(request, outlook, units, asker, now, outcome)

    def _told(self, request: Request, outlook: Outlook, units: Units, asker: Asker, now: int, outcome: Outcome) -> None:
        """The answer of the truth, or of the reserve, to a message that had to wait."""
        answer = self._charged(request, outlook, units, asker, now, outcome)
        name = request.instance
        if name and request.state == END:
            name += b"\n"
        waiting = self._answers.known.get(name)
        self._answers.keep(name, answer)
        for one in waiting if isinstance(waiting, list) else [asker]:
            one.tell(answer)

    def _charged(
        self, request: Request, outlook: Outlook, units: Units, asker: Asker, now: int, outcome: Outcome
    ) -> bytes:
        if isinstance(outcome, Refusal):
            text = quota.refusal_text(outcome)
            if objection := self._objected(request, _rule_of(outcome.key), self._quota_mode, text):
                if request.state == END:
                    self._hand_back(asker, request.instance, now)
                return objection
        elif request.state == DATA:
            asker.charged = (request.instance, units, now)
        return self._accept(request, outlook, asker)

    def _accept(self, request: Request, outlook: Outlook, asker: Asker) -> bytes:
        if request.state == END:
            self.unobjected += 1
            if asker.charged and asker.charged[0] == request.instance:
                # It is sent: what it was charged stays.
                asker.charged = None
            return DUNNO
        self.accepted += 1
        return outlook.accept

    # What rules object.

    def _objection(self, stage: bytes, request: Request, credential: Credential | None) -> bytes | None:
        """The answer of the first rule that refuses; of one that holds the message where none refuses."""
        context = self._context(credential)
        held: bytes | None = None
        for rule in self._rules[stage]:
            answer = self._ask(rule, stage, request, context)
            if answer is None:
                continue
            if not answer.startswith(b"action=HOLD"):
                return answer
            held = held or answer
        return held

    def _ask(self, rule: Rule, stage: bytes, request: Request, context: Context) -> bytes | None:
        verdict = rule.check(request, context)
        if verdict is None:
            return None
        action = acted(verdict.action, self.ruleset.actions.get(rule.name, ""))
        if action.startswith("HOLD "):
            if stage != RCPT:
                # It was put on hold at RCPT. Here stands the FILTER that it leaves by when it is released.
                return None
            action = action.replace("HOLD 5.7.1 ", "HOLD ")
        answer = self._objected(request, rule.name, self.ruleset.mode(rule.name), action)
        if answer is not None and context.credential is not None:
            self._watch(rule.name, request, context.credential, action)
        return answer

    def _watch(self, rule: str, request: Request, credential: Credential, action: str) -> None:
        """Raise what looks like a stolen credential; hold one that names invalid recipients in a row."""
        if rule in ("client", "sender"):
            self._observer.incident(rule, credential.name, request, action)
        if rule != "suppressed":
            return
        mode = self.ruleset.mode(invalid_recipients.NAME)
        setting = self.ruleset.invalid_recipients if mode != "off" else None
        count = self._streaks.invalid(credential.name, setting)
        if not count or setting is None:
            return
        text = f"{count} invalid recipients in a row"
        self._objected(request, invalid_recipients.NAME, mode, f"HOLD {text}")
        if mode == "enforce":
            until = self._wall + setting.hold
            self.standing.hold({**self.standing.held, credential.name: until})
            self._outlooks.forget()
            self._observer.incident(invalid_recipients.NAME, credential.name, request, text)
            self._observer.hold(credential.name, until, text)

    def _objected(self, request: Request, rule: str, mode: str, action: str) -> bytes | None:
        """The refusal, or None in shadow mode, which only notes it."""
        if mode == "shadow":
            self._observer.decision(request, rule, mode, action)
            self.decisions[f"{rule}-shadow", action.split(maxsplit=1)[0]] += 1
            return None
        return self._refuse(request, rule, action)

    def _refuse(self, request: Request, rule: str, action: str) -> bytes:
        self._observer.decision(request, rule, "enforce", action)
        answer = reply(action)
        self.decisions[rule, _word(answer)] += 1
        return answer


def _pause_of(known: pauses.Pauses, request: Request, outlook: Outlook) -> pauses.Pause | None:
    """The pause that concerns a message of a credential."""
    credential = outlook.credential
    if credential is None:
        return None
    stream = credential.stream
    sender = request.sender.decode("utf-8", "replace")
    return pauses.submission(known, credential.name, stream.name, stream.filter.partition(":")[0], sender)


def _too_large(request: Request, outlook: Outlook) -> bool:
    """Whether a message is, or says that it will be, larger than its stream allows."""
    return bool(outlook.largest) and number(request.size) > outlook.largest


def _rule_of(key: Key) -> str:
    """The rule that a key's limit belongs to."""
    return ramp.NAME if isinstance(key.limit, Limit) and key.limit.ramp else quota.NAME


def _word(answer: bytes) -> str:
    """The first word of a reply's action."""
    return answer[len(b"action=") :].split(maxsplit=1)[0].decode("ascii")
