"""Keeps a process at work while there is something for it to do. It never loads PyTorch itself."""

from __future__ import annotations

import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.processes import end, start

LOOK_EVERY = 1.0
"""Seconds between two looks whether there is something to do; `Attendant.poke` looks at once."""
REST = 5.0
"""Seconds before it is started again when it has just ended."""


class Attendant:
    """Starts `command` whenever something is `wanted` and it doesn't run; one that was killed is
    started again. The process ends by itself when there is nothing to do, or its standard input
    ends."""

    def __init__(self, wanted: Callable[[], bool], command: Sequence[str], *, log: Path) -> None:
        self.wanted, self.command, self.log = wanted, command, log
        self.process: subprocess.Popen[bytes] | None = None
        self.rest_until = 0.0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="attendant", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def close(self) -> None:
        """End the process, and look no more."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.process is not None:
            end(self.process)

    def look(self) -> None:
        """Start the process if it is wanted and isn't there."""
        if self.process is not None and self.process.poll() is not None:
            end(self.process)
            self.rest_until = time.monotonic() + (REST if self.process.returncode else 0.0)
            self.process = None
        if self.process is None and time.monotonic() >= self.rest_until and self.wanted():
            self.process = start(self.command, log=self.log, stdin=subprocess.PIPE)

    def _loop(self) -> None:
        while not self._closing:
            try:
                self.look()
            except Exception:  # a locked database, say: the next look may succeed
                traceback.print_exc()
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()
