"""How many threads to compute with, while other programs come and go.

Threads meet at the end of every operation, so one that waits for its core keeps all waiting. On
two cores, with a browser busy on one of them, a step of the founding ConvNet took 174 ms on two
threads and 23 ms on one; with both cores free it took 17 ms and 23 ms.
"""

from __future__ import annotations

import time

CROWDED = 1.5
"""A step this many times slower than it was on the same threads: somebody else has a core."""
TRY_AGAIN = 10.0
"""Seconds until all threads are tried again, for one look."""


class Pace:
    """Watches the time of a step and gives up a thread while that is faster.

    It changes how sums are split, and so the last bits of a result: not for deterministic runs.
    """

    def __init__(self, all: int, threads: int) -> None:
        """`threads` is what to begin with, `all` or one fewer."""
        self.all, self.threads = all, threads
        self.fewer = max(all - 1, 1)
        self.usual: float | None = None
        """Seconds of a step on all threads while the cores are free."""
        self.alone: float | None = None
        """Seconds of a step on fewer threads, at the last look."""
        self.trying = False
        self.gave_up_at = time.perf_counter()

    def look(self, seconds: float, *, now: float | None = None) -> int:
        """How many threads to go on with, after steps that took so many seconds each."""
        now = time.perf_counter() if now is None else now
        if self.threads == self.fewer:
            self.alone = seconds
            if self.all > self.fewer and now - self.gave_up_at > TRY_AGAIN:
                self.threads, self.trying = self.all, True
        elif self.trying:
            # All threads had their chance against what fewer took just before.
            self.trying, self.gave_up_at = False, now
            assert self.alone is not None
            if seconds > 0.95 * self.alone:
                self.threads = self.fewer
            else:
                self.usual = seconds
        elif self.usual is not None and seconds > CROWDED * self.usual:
            self.threads, self.gave_up_at = self.fewer, now
        else:
            self.usual = min(seconds, self.usual or seconds)
        return self.threads
