"""Whether the ledger has read a host's logs to their end: switched off before, a host takes its last lines along."""

from __future__ import annotations

import time

from smtpctl.ledger.reader import Reader
from smtpctl.transport.host import Host

#: Seconds that a shipper may need for what was just logged.
PATIENCE = 60.0
PAUSE = 0.3


def is_read(reader: Reader, host: Host, patience: float = PATIENCE) -> bool:
    """Wait until all that stands in the host's logs now is in the ledger; False after ``patience`` seconds."""

    def sources() -> dict[str, tuple[int, int]]:
        return {
            row["log"]: (row["generation"], row["position"]) for row in reader.sources() if row["host"] == host.name
        }

    began = sources()
    sizes = host.ask({"do": "log-sizes", "logs": list(began)}).header["sizes"]
    # Of a file that was rotated meanwhile nothing is left unread when the next one is being read.
    ends = {log: (generation, sizes[log]) for log, (generation, _) in began.items()}
    end = time.monotonic() + patience
    while any(place < ends[log] for log, place in sources().items() if log in ends):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True
