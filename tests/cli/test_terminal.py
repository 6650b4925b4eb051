"""What strangers wrote does not steer the terminal of who reads it; in a pipe it stays as it is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

#: Sets the window's title, clears the screen, and writes over its own line.
LINE = "Nov 21 22:08:54 mx1 postfix/smtp[5]: 4jX5vT1sY3zJk9D: \x1b]0;mine\x07\x1b[2J\x9b2J\rall is well"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text(LINE + "\n")
    return path


def on_terminal(*arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen([sys.executable, "-m", "smtpctl", *arguments], stdout=theirs, stderr=subprocess.PIPE)
    finally:
        os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # EIO: nobody holds the other end any more
        pass
    finally:
        os.close(ours)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return written.decode()


def test_a_log_line_does_not_steer_the_terminal(log: Path) -> None:
    shown = on_terminal("ledger", "parse", str(log)).replace("\r\n", "\n")
    assert "�]0;mine��[2J�2J�all is well" in shown
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown)


def test_a_pipe_gets_a_log_line_as_it_is(log: Path) -> None:
    command = [sys.executable, "-m", "smtpctl", "ledger", "parse", str(log)]
    piped = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert LINE.partition("4jX5vT1sY3zJk9D: ")[2] in piped
