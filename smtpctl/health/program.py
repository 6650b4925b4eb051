"""``health.pyz``: does mail get through this host? Exits 0, or 1 with the reason.

``submit SETTINGS`` signs in at the host's own submission port, submits a message from the fleet's own domain to an
address under ``.invalid`` (RFC 2606: it exists nowhere), and follows it in the mail log: signed, and taken by a relay,
which throws it away. ``queue FOLDER`` puts one into the queue of a Postfix instance, whose queue manager does so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

from smtpctl.health.log import ProbeError, Tail, queue_id, wait_for

LOG = Path("/var/log/mail.log")

#: The domain of the probe's recipient, whose mail the instances of Postfix discard.
DOMAIN = "smtpctl-probe.invalid"

#: Seconds for a session, and for the way from there to the last line.
PATIENCE = 12.0


def main() -> int:
    """Run the probe that the arguments name."""
    probes = {"submit": probe_submission, "queue": probe_queue}
    try:
        probes[sys.argv[1]](Path(sys.argv[2]))
    except ProbeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def probe_submission(settings_file: Path) -> None:
    """Authentication, limits, signing and hand-over, with one message."""
    from smtpctl.health.submission import Entrance, submit  # SMTP and TLS, which no queue has to do with

    settings = json.loads(settings_file.read_text())
    end = time.monotonic() + PATIENCE
    message_id = f"{uuid.uuid4().hex}@{DOMAIN}"
    entrance = Entrance(**settings["entrance"])
    text = _message(settings["sender"], message_id)
    with Tail(LOG) as tail:
        submit(entrance, text, sender=settings["sender"], recipient=f"probe@{DOMAIN}", timeout=PATIENCE)
        queue = queue_id(tail, message_id, end)
        wait_for(tail, queue, [*settings["signatures"], "status=sent"], end)


def probe_queue(folder: Path) -> None:
    """The queue of one instance: taken in, scheduled by its queue manager, and discarded."""
    end = time.monotonic() + PATIENCE
    message_id = f"{uuid.uuid4().hex}@{DOMAIN}"
    command = ["/usr/sbin/sendmail", "-C", str(folder), "-i", "-f", "", f"probe@{DOMAIN}"]
    text = _message(f"probe@{DOMAIN}", message_id)
    with Tail(LOG) as tail:
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=PATIENCE)
        if done.returncode:
            raise ProbeError(f"sendmail: {done.stderr.strip() or done.returncode}")
        wait_for(tail, queue_id(tail, message_id, end), ["status=sent"], end)


def _message(sender: str, message_id: str) -> str:
    lines = [
        f"From: {sender}",
        f"To: probe@{DOMAIN}",
        "Subject: smtpctl probe",
        f"Message-ID: <{message_id}>",
        "",
        "A health check of smtpctl. It is thrown away inside the fleet.",
        "",
    ]
    return "\r\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
