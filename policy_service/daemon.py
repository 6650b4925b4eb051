"""A daemon that answers from memory by one file of rules: listen, reload on SIGHUP, stop on SIGTERM. Edge."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from policy_service import notify
from policy_service.listen import Endpoint, bound, serve
from policy_service.log import ERROR, INFO, NOTICE, log
from policy_service.loop import run_loop
from policy_service.ruleset import RulesError


class Reloadable(Protocol):
    """What the daemon answers from."""

    def reload(self) -> None: ...


State = TypeVar("State", bound=Reloadable)


def run_daemon(
    name: str,
    load: Callable[[], State],
    connection: Callable[[State], asyncio.BaseProtocol],
    listen: Sequence[Endpoint],
    mode: int,
) -> int:
    """Load the state, answer on ``listen`` until SIGTERM. Exit code 1 when the rules are not usable."""
    try:
        state = load()
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", program=name, text=error)
        return 1

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, _reload, name, state)
        sockets = notify.passed_sockets() or [bound(where, mode) for where in listen]
        servers = [await serve(sock, lambda: connection(state)) for sock in sockets]
        log(INFO, "serving", program=name, listen=",".join(map(str, listen)))
        notify.ready("serving")
        await stop.wait()
        notify.stopping()
        for server in servers:
            server.close()

    run_loop(run())
    return 0


def _reload(name: str, state: Reloadable) -> None:
    notify.reloading()
    try:
        state.reload()
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", program=name, text=error)
    else:
        log(NOTICE, "rules-loaded", program=name)
    notify.ready("serving")
