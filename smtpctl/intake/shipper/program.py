"""The loop of the shipper: read, track, store, again. Whatever goes wrong with the database, everything in memory is
dropped and rebuilt from what the database says was committed; the log still holds the rest."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
import time
from pathlib import Path

import psycopg

from smtpctl.errors import LedgerError, SmtpctlError
from smtpctl.intake.shipper import metrics
from smtpctl.intake.shipper.caution import Caution, RefusedError
from smtpctl.intake.shipper.config import Config, read_config
from smtpctl.intake.shipper.run import Run
from smtpctl.intake.shipper.waiting import Waiter
from smtpctl.intake.systemd import notify
from smtpctl.ledger.connection import connect, parameters

_LOG = logging.getLogger("smtpctl.shipper")
#: Seconds between tries to reach the database: from, to.
_PAUSES = (0.2, 10.0)
#: Seconds that a thread keeps the interpreter to itself. Who stores has little to do between two answers of the server,
#: which is idle until that is done.
_TURN = 0.00005
#: Seconds of no new lines after which the log counts as quiet.
_QUIET_AFTER = 1.0


def main() -> int:
    """Entry point of the shipper."""
    parser = argparse.ArgumentParser(prog="shipper", description="Follow the mail log of this host into the ledger.")
    parser.add_argument("--config", type=Path, default=Path("/etc/smtpctl/shipper.json"))
    parser.add_argument("--once", action="store_true", help="end when all that the log holds is in the ledger")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        config = read_config(arguments.config)
        waiter = Waiter(config.log, config.linger)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: waiter.stop())
        if config.metrics:
            metrics.serve(config.metrics)
        _calm_the_collector()
        sys.setswitchinterval(_TURN)
        Shipper(config, waiter).run(once=arguments.once)
    except SmtpctlError as error:
        _LOG.error("%s", error)
        return error.exit_code
    return 0


def _calm_the_collector() -> None:
    """Rows hold no cycles, so looking for some after every few hundred of them is a sixth of the work for nothing.
    Errors do; they are rare, and collected when the log is quiet."""
    gc.collect()
    gc.freeze()
    gc.disable()


class Shipper:
    """Ships one log until it is told to stop."""

    def __init__(self, config: Config, waiter: Waiter) -> None:
        self._config = config
        self._waiter = waiter
        self._caution = Caution(config.batch_bytes)

    def run(self, *, once: bool = False) -> None:
        """Ship. With ``once`` return when there is nothing more to read."""
        notify("READY=1\nSTATUS=connecting to the ledger")
        pause = _PAUSES[0]
        while not self._waiter.stopping:
            try:
                if self._ship(once=once):
                    return
                pause = _PAUSES[0]
            except RefusedError as error:
                self._caution.more()
                _LOG.warning("%s; reading %s", error, self._caution)
            except (psycopg.Error, LedgerError) as error:
                metrics.ACTIVE.set(0)
                metrics.FAILURES.inc()
                _LOG.warning("%s; the log is kept, next try in %.1f s", str(error).strip(), pause)
                notify(f"STATUS=waiting for the ledger: {str(error).splitlines()[0]}")
                self._waiter.pause(pause)
                pause = min(pause * 2, _PAUSES[1])
        notify("STOPPING=1")

    def _ship(self, *, once: bool) -> bool:
        """One connection's life. True when all is done; False when the lease is another's or the end was asked for."""
        # Rows and position are lost together when the server crashes, and the log still has the lines: no commit needs
        # to wait for the server's disk.
        chosen = parameters(self._config.database) | {"options": "-c synchronous_commit=off"}
        with connect(application="smtpctl-shipper", **chosen) as connection:
            run = Run.start(self._config, connection)
            if run is None:
                notify("STATUS=another shipper follows this log")
                self._waiter.pause(2.0)
                return False
            metrics.ACTIVE.set(1)
            notify(f"STATUS=following {self._config.log}")
            _LOG.info("following %s from byte %d", self._config.log, run.checkpoint.position)
            try:
                return self._follow(run, once=once)
            finally:
                run.close()

    def _follow(self, run: Run, *, once: bool) -> bool:
        last_lines = time.monotonic()
        while not self._waiter.stopping:
            if run.ship_some(self._caution):
                self._caution.less()
                last_lines = time.monotonic()
                if not once and not run.is_behind():
                    run.finish()
                    self._waiter.linger()
            elif once:
                return True
            elif time.monotonic() - last_lines < _QUIET_AFTER:
                self._waiter.linger()
            else:
                gc.collect()
                run.check_connection()
                self._waiter.wait_for_lines()
        run.finish()
        return False
