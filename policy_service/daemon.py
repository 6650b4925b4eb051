"""A daemon that answers from memory by one file of rules: listen, take the file anew when it changes, stop. Edge."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from policy_service import notify
from policy_service.listen import Endpoint, listeners, serve
from policy_service.log import ERROR, INFO, NOTICE, log
from policy_service.loop import run_loop
from policy_service.ruleset import RulesError
from policy_service.watch import Watched

#: The name under which systemd keeps what a daemon listens on: who connects between two processes waits.
LISTENER = "listener"


class Reloadable(Protocol):
    """What the daemon answers from, and what it does meanwhile."""

    def reload(self) -> None: ...

    def run(self) -> Coroutine[Any, Any, None]: ...


State = TypeVar("State", bound=Reloadable)


def run_daemon(
    name: str,
    load: Callable[[], State],
    connection: Callable[[State], asyncio.BaseProtocol],
    listen: Sequence[Endpoint],
    mode: int,
    *,
    rules: Path,
) -> int:
    """Load the state, answer on ``listen`` until SIGTERM. Exit code 1 when the rules are not usable.

    ``rules`` is the file that the state is loaded from: it is taken anew on SIGHUP and when it changes.
    """
    watched = Watched(rules)
    try:
        state = load()
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", program=name, text=error)
        return 1

    def reload() -> None:
        watched.reading()
        _reload(name, state)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload)
        sockets = listeners(listen, mode, notify.passed_sockets())
        if notify.keeps_descriptors():
            notify.unstore(LISTENER)
            notify.store(LISTENER, sockets)
        servers = [await serve(sock, lambda: connection(state)) for sock in sockets]
        log(INFO, "serving", program=name, listen=",".join(map(str, listen)))
        notify.ready("serving")
        await until_stopped(stop, state.run(), watched.run(reload))
        notify.stopping()
        for server in servers:
            server.close()

    run_loop(run())
    return 0


async def until_stopped(stop: asyncio.Event, *background: Coroutine[Any, Any, None]) -> None:
    """Run ``background`` and give systemd signs of life until ``stop``; then end them.

    None of them ends by itself. One that does has failed: better to fail with it than to serve half.
    """
    stopping = asyncio.ensure_future(stop.wait())
    tasks = [asyncio.ensure_future(one) for one in (*background, notify.signs_of_life())]
    await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done()]
    for task in (stopping, *tasks):
        task.cancel()
    await asyncio.wait(tasks)
    for task in failed:
        task.result()


def _reload(name: str, state: Reloadable) -> None:
    notify.reloading()
    try:
        state.reload()
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", program=name, text=error)
    else:
        log(NOTICE, "rules-loaded", program=name)
    notify.ready("serving")
