"""From a request to its answer: the rules in their order, the quotas at DATA, then the stream. Touches no socket.

RCPT checks and charges nothing; DATA charges the whole message once. ``instance`` names a message over all its
requests: Postfix asks again, with the same one, when a reply got lost, and gets the same answer for no second charge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from policy_service.leases import Book, Outcome, Refusal
from policy_service.protocol import POLICY_REQUEST, Request, reply
from policy_service.rules import RULES, Rule, quota
from policy_service.rules.rule import DATA, RCPT
from policy_service.ruleset import Credential, Ruleset

DUNNO = reply("DUNNO")
#: Whoever asks something else gets an answer all the same, and one that lets no mail through.
ALIEN = reply("451 4.3.5 The policy service does not know this request")

#: How long a message's answer is remembered, at least.
REMEMBERED = 120_000_000_000

Tell = Callable[[bytes], None]
Note = Callable[[Request, str, str, str], None]


class _Pending:
    """A message that waits to be charged, and everyone who asked about it."""

    __slots__ = ("tells",)

    def __init__(self) -> None:
        self.tells: list[Tell] = []


class Engine:
    """Rules, quotas and the memory of answered messages of one process.

    ``note`` is told of every decision that is not DUNNO or FILTER: request, rule, mode (enforce or shadow), action.
    """

    def __init__(self, ruleset: Ruleset, book: Book, note: Note) -> None:
        self.book = book
        self.decisions: Counter[tuple[str, ...]] = Counter()
        self._note = note
        self._answers: dict[bytes, bytes | _Pending] = {}
        self._older: dict[bytes, bytes | _Pending] = {}
        self._turned = 0
        self.load(ruleset)

    def load(self, ruleset: Ruleset) -> None:
        """Go over to other rules. What was charged stays charged."""
        self.ruleset = ruleset
        self._rules = {
            stage: tuple(rule for rule in RULES if stage in rule.stages and ruleset.mode(rule.name) != "off")
            for stage in (RCPT, DATA)
        }
        self._quota_mode = ruleset.mode(quota.NAME)
        self._filters = {name: reply(f"FILTER {c.stream.filter}") for name, c in ruleset.credentials.items()}

    def decide(self, request: Request, tell: Tell, now: int) -> bytes | None:
        """The reply, or None when ``tell`` will be called with it."""
        if request.get(b"request") != POLICY_REQUEST:
            self.decisions["protocol", "451"] += 1
            return ALIEN
        stage = request.get(b"protocol_state")
        if stage == RCPT:
            return self._at_rcpt(request, now)
        if stage == DATA:
            return self._at_data(request, tell, now)
        self.decisions["none", "DUNNO"] += 1
        return DUNNO

    def _at_rcpt(self, request: Request, now: int) -> bytes:
        credential = self._credential(request)
        if objection := self._objection(RCPT, request, credential):
            return objection
        if credential is not None and self._quota_mode == "enforce":
            units = quota.keys_of(self.book, credential, _sender(request), 1)
            if refusal := self.book.refusal(units, now):
                return self._refuse(request, quota.NAME, quota.refusal_text(refusal))
        self.decisions["none", "DUNNO"] += 1
        return DUNNO

    def _at_data(self, request: Request, tell: Tell, now: int) -> bytes | None:
        instance = request.get(b"instance")
        if not instance:
            return self._decide_data(request, tell, now)
        self._turn(now)
        answer = self._answers.get(instance) or self._older.get(instance)
        if isinstance(answer, _Pending):
            answer.tells.append(tell)
            return None
        if answer is not None:
            self.decisions["repeated", _word(answer)] += 1
            return answer
        return self._first_data(instance, request, tell, now)

    def _first_data(self, instance: bytes, request: Request, tell: Tell, now: int) -> bytes | None:
        pending = _Pending()

        def answered(answer: bytes) -> None:
            self._answers[instance] = answer
            for waiting in pending.tells:
                waiting(answer)

        answer = self._decide_data(request, answered, now)
        if answer is None:
            pending.tells.append(tell)
            self._answers[instance] = pending
            return None
        self._answers[instance] = answer
        return answer

    def _decide_data(self, request: Request, tell: Tell, now: int) -> bytes | None:
        credential = self._credential(request)
        if objection := self._objection(DATA, request, credential):
            return objection
        if credential is None:
            # The rule that would have refused is switched off; nobody's mail belongs to no stream.
            self.decisions["none", "DUNNO"] += 1
            return DUNNO
        if self._quota_mode == "off" or not credential.limits:
            return self._accept(credential)
        recipients = max(request.number(b"recipient_count"), 1)
        if text := quota.beyond_burst(credential, recipients):
            return self._objected(request, quota.NAME, self._quota_mode, text) or self._accept(credential)

        def charged(outcome: Outcome) -> None:
            tell(self._charged(request, credential, outcome))

        units = quota.keys_of(self.book, credential, _sender(request), recipients)
        outcome = self.book.charge(units, charged, now)
        return None if outcome is None else self._charged(request, credential, outcome)

    def _charged(self, request: Request, credential: Credential, outcome: Outcome) -> bytes:
        if isinstance(outcome, Refusal):
            text = quota.refusal_text(outcome)
            return self._objected(request, quota.NAME, self._quota_mode, text) or self._accept(credential)
        return self._accept(credential)

    def _accept(self, credential: Credential) -> bytes:
        self.decisions["stream", "FILTER"] += 1
        # A reload while the message waited may have taken the credential away; its stream is still what it was.
        return self._filters.get(credential.name) or reply(f"FILTER {credential.stream.filter}")

    def _credential(self, request: Request) -> Credential | None:
        return self.ruleset.credentials.get(request.text(b"sasl_username").lower())

    def _objection(self, stage: bytes, request: Request, credential: Credential | None) -> bytes | None:
        for rule in self._rules[stage]:
            if answer := self._ask(rule, request, credential):
                return answer
        return None

    def _ask(self, rule: Rule, request: Request, credential: Credential | None) -> bytes | None:
        verdict = rule.check(request, credential)
        return self._objected(request, rule.name, self.ruleset.mode(rule.name), verdict.action) if verdict else None

    def _objected(self, request: Request, rule: str, mode: str, action: str) -> bytes | None:
        """The refusal, or None in shadow mode, which only notes it."""
        if mode == "shadow":
            self.decisions[f"{rule}-shadow", action.partition(" ")[0]] += 1
            self._note(request, rule, mode, action)
            return None
        return self._refuse(request, rule, action)

    def _refuse(self, request: Request, rule: str, action: str) -> bytes:
        self.decisions[rule, action.partition(" ")[0]] += 1
        self._note(request, rule, "enforce", action)
        return reply(action)

    def _turn(self, now: int) -> None:
        """Forget the answers of the round before the last."""
        if now - self._turned >= REMEMBERED:
            self._older, self._answers = self._answers, {}
            self._turned = now


def _sender(request: Request) -> str:
    # Local parts are compared without case: another spelling must not be another limit.
    return request.text(b"sender").lower()


def _word(answer: bytes) -> str:
    """The first word of a reply's action."""
    return answer[len(b"action=") :].split(maxsplit=1)[0].decode("ascii")
