"""Waits for the log to grow: by inotify (watchdog) while it is quiet, by the clock while it is busy.

On a busy log the kernel would report every single write, and reading the reports costs more than reading the lines.
So the watch is set only when nothing came for a while, and taken away by the first sign of life. Where inotify cannot
be had the clock does it alone.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

#: A quiet log is looked at this often all the same: rotation by a rename elsewhere gives no event here.
_QUIET = 5.0


class _Wake(FileSystemEventHandler):
    def __init__(self, path: Path, wake: threading.Event) -> None:
        self._path = os.fspath(path)
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if self._path in (os.fsdecode(event.src_path), os.fsdecode(event.dest_path)):
            self._wake.set()


class Waiter:
    """``wait`` returns when the log may have grown, when ``stop`` was called, or after a few seconds."""

    def __init__(self, path: Path, linger: float) -> None:
        self._path = path
        self._linger = linger
        self._wake = threading.Event()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stopping

    def stop(self) -> None:
        """End the wait now and every later one at once. May be called from a signal handler."""
        self._stopping = True
        self._wake.set()

    def linger(self) -> None:
        """Let lines gather for a moment: a commit for each would cost more than it gives."""
        self._wait(self._linger)

    def pause(self, seconds: float) -> None:
        """Wait before trying something again."""
        self._wait(seconds)

    def wait_for_lines(self) -> None:
        """Wait until the log has grown."""
        size = self._size()
        observer = Observer()
        try:
            observer.schedule(_Wake(self._path, self._wake), os.fspath(self._path.parent), recursive=False)
            observer.start()
        except OSError:  # no inotify watches left, or none at all
            self._wait(self._linger)
            return
        try:
            if self._size() == size:  # it may have grown while the watch was being set
                self._wait(_QUIET)
        finally:
            observer.stop()
            observer.join()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return -1

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if not self._stopping:
            self._wake.clear()
