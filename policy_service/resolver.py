"""Asks the resolver where domains take their mail, behind: nobody waits for it. Edge: a UDP socket and the clocks.

So many questions are on their way at once, each for so long and asked twice; with the DNS dead that bounds what is
spent on it. Answers count only from the resolver's address, to a question that is on its way, with its random number.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, time
from typing import cast

from policy_service.learnt import LONGEST, Learnt
from policy_service.listen import Endpoint
from policy_service.log import NOTICE, log
from policy_service.mx import NAME_ERROR, NO_ERROR, MessageError, Reply, parse, query

#: Questions on their way at once, seconds until one is asked again, and how often it is asked.
AT_ONCE = 50
PATIENCE = 2.0
TRIES = 2

#: How often the list of wanted domains is looked at.
EVERY = 0.05


def system_resolver(path: Path = Path("/etc/resolv.conf")) -> Endpoint:
    """The first name server of resolv.conf(5), the local one where there is none."""
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            return Endpoint(host=words[1].partition("%")[0], port=53)
    return Endpoint(host="127.0.0.1", port=53)


class Question:
    """A domain that was asked for."""

    __slots__ = ("again_at", "domain", "tries")

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.tries = 0
        self.again_at = 0.0


class Resolver(asyncio.DatagramProtocol):
    """Works off the list of what is wanted, for ever."""

    def __init__(self, learnt: Learnt, where: Endpoint) -> None:
        self._learnt = learnt
        self._where = where
        self._asked: dict[int, Question] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._answers = True

    async def run(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._transport is None or self._transport.is_closing():
                    await loop.create_datagram_endpoint(lambda: self, remote_addr=(self._where.host, self._where.port))
                self._ask()
                await asyncio.sleep(EVERY)
        finally:
            if self._transport:
                self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there, for now: the questions time out."""

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            reply = parse(data)
        except MessageError:
            return
        question = self._asked.get(reply.number)
        if question is None or question.domain != reply.domain:
            return
        del self._asked[reply.number]
        self._say(answers=True)
        self._learn(reply)
        self._ask()

    def _learn(self, reply: Reply) -> None:
        domain, now = reply.domain, time()
        if reply.code == NAME_ERROR:
            self._learnt.learn(domain, "", 3600, now)
        elif reply.code != NO_ERROR:
            self._learnt.fail(domain, now)
        elif reply.exchanges:
            # "." alone says that the domain takes no mail (RFC 7505).
            self._learnt.learn(domain, reply.exchanges[0][1], min(reply.ttl, LONGEST), now)
        else:
            # Without an MX record the domain itself is the exchange (RFC 5321 §5.1).
            self._learnt.learn(domain, domain, 3600, now)

    def _ask(self) -> None:
        """Ask anew what is late, then what is wanted."""
        now = monotonic()
        for number, question in [(n, q) for n, q in self._asked.items() if q.again_at <= now]:
            del self._asked[number]
            if question.tries >= TRIES:
                self._say(answers=False)
                self._learnt.fail(question.domain, time())
            else:
                self._send(question, now)
        for domain in self._wanted():
            self._send(Question(domain), now)

    def _wanted(self) -> Iterator[str]:
        while len(self._asked) < AT_ONCE and (domain := self._learnt.take()) is not None:
            yield domain

    def _send(self, question: Question, now: float) -> None:
        number = secrets.randbelow(65536)
        while number in self._asked:
            number = secrets.randbelow(65536)
        message = query(number, question.domain)
        if message is None:
            self._learnt.learn(question.domain, "", LONGEST, time())
            return
        question.tries += 1
        question.again_at = now + PATIENCE
        self._asked[number] = question
        if self._transport:
            self._transport.sendto(message)

    def _say(self, *, answers: bool) -> None:
        """Log it once when the resolver goes silent, and when it speaks again."""
        if answers != self._answers:
            self._answers = answers
            log(NOTICE, "resolver-answers" if answers else "resolver-silent", resolver=self._where)
