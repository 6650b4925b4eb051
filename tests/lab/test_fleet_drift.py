"""``smtpctl drift --watch``: looks again and again, and leaves what it found where the node exporter reads it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.support import REPOSITORY, AppliedFleet, until

pytestmark = pytest.mark.lab

EDITED = "/etc/postfix-transactional/main.cf"


def test_a_hand_edit_comes_and_goes_in_the_metrics(applied: AppliedFleet, tmp_path: Path) -> None:
    metrics = tmp_path / "smtpctl.prom"

    def counted(number: int) -> bool:
        line = f'smtpctl_drift_findings{{host="relay2",kind="edited"}} {number}'
        return metrics.exists() and line in metrics.read_text().splitlines()

    options = ("--host", "relay2", "--watch", "1", "--textfile", str(metrics))
    command = [sys.executable, "-m", "smtpctl", "drift", str(applied.inventory), *options]
    with (
        (tmp_path / "said").open("w+") as said,
        subprocess.Popen(command, cwd=REPOSITORY, stdout=said, stderr=said) as watch,
    ):
        try:
            until(lambda: counted(0), "no metrics were written")
            assert 'smtpctl_drift_observed{host="relay2"} 1' in metrics.read_text().splitlines()
            applied.lab.run("relay2", ["sh", "-c", f"cp -p {EDITED} /root/kept; echo '# by hand' >> {EDITED}"])
            until(lambda: counted(1), "the edit is not in the metrics")
            applied.lab.run("relay2", ["mv", "/root/kept", EDITED])
            applied.lab.run("relay2", ["systemctl", "reload", "postfix@transactional"])
            until(lambda: counted(0), "what was edited back is still in the metrics")
            watch.send_signal(signal.SIGINT)
            assert watch.wait(60) == 1
        finally:
            watch.kill()
        said.seek(0)
        assert said.read().endswith("error: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["said", "smtpctl.prom"]
