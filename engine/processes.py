"""Processes that outlive the one that starts them, and whether they are still alive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil


def start(command: Sequence[str], *, log: Path, stdin: int = subprocess.DEVNULL,
          stdout: int | None = None) -> subprocess.Popen[bytes]:  # fmt: skip
    """Start a process in a session of its own, its output going to the end of `log`.

    It isn't ended with the terminal or the process that starts it. A log file, never a pipe: a
    pipe that nobody drains stops the writer.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        apart = {"creationflags": flags}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=stdin, stdout=out if stdout is None else stdout, stderr=out, **apart
        )


def me() -> tuple[int, float]:
    """This process: its id, and when it started, because ids are used again."""
    return os.getpid(), psutil.Process().create_time()


def alive(pid: int | None, started: float | None) -> bool:
    """Whether that very process still runs; a zombie doesn't."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 2.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def end(process: subprocess.Popen[bytes], *, patience: float = 2.0) -> None:
    """End a process of ours, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def redirect_output(log: Path) -> None:
    """From now on this process writes to the end of `log`, native code included."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    print(time.strftime("--- %Y-%m-%d %H:%M:%S"), f"process {os.getpid()}", flush=True)  # noqa: T201
