"""Start, serve, drain: the processor as a daemon in the foreground (``Type=notify``; SIGTERM drains)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import prometheus_client

from smtpctl.errors import SmtpctlError
from smtpctl.intake.feedback.config import Config, read_config
from smtpctl.intake.feedback.lmtp import MAX_SIZE, Intake, Server
from smtpctl.intake.feedback.metrics import Metrics
from smtpctl.intake.feedback.store import Store
from smtpctl.intake.systemd import notify

logger = logging.getLogger(__name__)

#: Seconds that a mail in hand may take when the processor is stopped; Postfix keeps it if it takes longer.
DRAIN = 15.0


def main() -> int:
    """Entry point of ``feedback.pyz``; return the exit code."""
    parser = argparse.ArgumentParser(description="Take bounces and reports by LMTP and store them in the ledger.")
    parser.add_argument("--config", type=Path, default=Path("/etc/smtpctl/feedback.json"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    # One line a command at INFO, with addresses: Postfix's own log has them.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(read_config(arguments.config)))
    except (SmtpctlError, OSError) as error:
        logger.critical("%s", error)
        return 1
    return 0


async def serve(config: Config) -> None:
    """Take mail until SIGTERM or SIGINT. Raise OSError when the port is taken."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    store = Store(config)
    intake = Intake(store, metrics)
    listener = await loop.create_server(
        lambda: Server(intake, data_size_limit=MAX_SIZE, enable_SMTPUTF8=True, ident="smtpctl feedback", loop=loop),
        config.listen.address,
        config.listen.port,
    )
    web, _ = prometheus_client.start_http_server(config.metrics.port, config.metrics.address)
    logger.info("taking mail on %s port %d", config.listen.address, config.listen.port)
    notify("READY=1")
    await stop.wait()
    notify("STOPPING=1")
    listener.close()
    try:
        await asyncio.wait_for(intake.drained(), DRAIN)
    except TimeoutError:
        logger.warning("stopped with a mail in hand; Postfix tries it again")
    await store.close()
    web.shutdown()
    web.server_close()
