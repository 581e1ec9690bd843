"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], *, within: float = 200) -> None:
    """Wait for what a process does; a slow machine gets its time."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.05)
