"""A few light processes that share out the work of an import.

They are plain interpreters that load one module each, not `multiprocessing`'s: those load the
program's main file again, keep a tracker process, and outlive a parent that was killed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import TypeVar

R = TypeVar("R")

WAIT = 0.2
"""Seconds after which `share` returns to its caller even when no result has come."""


def processors() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """Processes that do jobs, one each at a time; they end with the ``with`` block.

    If this process is killed they see the end of their input and end too. With `size` 0 the
    jobs are done in this process, where starting others would cost more than it saves.
    """

    def __init__(self, size: int, *, log: Path) -> None:
        self.size = size
        self.log = log
        self.processes: list[subprocess.Popen[bytes]] = []
        self.idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    def __enter__(self) -> Crew:
        root = str(Path(__file__).resolve().parents[2])
        known = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        # One thread of linear algebra each: they decode, and its buffers are tens of megabytes.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(known),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        # -P: a module that lies in the current folder is not ours to run.
        command = [sys.executable, "-P", "-c", "from engine.data.crew import serve; serve()"]
        try:
            for _ in range(self.size):
                with self.log.open("ab") as log:
                    process = subprocess.Popen(
                        command,
                        env=environment,
                        stderr=log,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                    )
                self.processes.append(process)
                self.idle.put(process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()

    def share(self, jobs: Iterable[Callable[[], R]]) -> Generator[R | None, None, None]:
        """The jobs' results in the order they come; None whenever `WAIT` passes without one.

        A job is a ``functools.partial`` of a module's function (it travels by name) and never
        returns None. What it raises is raised here; a process that died is a RuntimeError.
        """
        if not self.processes:
            yield from (job() for job in jobs)
            return
        threads = ThreadPoolExecutor(self.size)  # they only wait: one for each process
        try:
            pending = {threads.submit(self._do, job) for job in jobs}
            while pending:
                ready: set[Future[R]]
                ready, pending = wait(pending, WAIT, FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
                if not ready:
                    yield None
        except BaseException:
            # Results under way are not wanted any more, and their threads wait for them.
            for process in self.processes:
                process.kill()
            raise
        finally:
            threads.shutdown(cancel_futures=True)

    def _do(self, job: Callable[[], R]) -> R:
        process = self.idle.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump(job, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            fine, result = pickle.load(process.stdout)  # noqa: S301 (from our own process)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise RuntimeError(self._obituary(process)) from None
        finally:
            self.idle.put(process)
        if not fine:
            raise result
        return result  # type: ignore[no-any-return]

    def _obituary(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait()
        said = self.log.read_text(errors="replace").strip().splitlines()
        last = f": {said[-1]}" if said else ""
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return (
            f"A process that reads the files {how}{last}. If memory was short, close other "
            "programs and import again."
        )


def serve() -> None:
    """Do the jobs that come from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    jobs = sys.stdin.buffer
    # A library that prints must not speak between the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = pickle.load(jobs)  # noqa: S301 (from our own parent)
            try:
                result = (True, job())
            except Exception as problem:
                result = (False, problem)
            pickle.dump(result, results, pickle.HIGHEST_PROTOCOL)
            results.flush()


class Pace:
    """Says when the next progress is due: at most a few times a second."""

    def __init__(self) -> None:
        self.last = -1.0

    def due(self) -> bool:
        """Whether `WAIT` has passed since it last said yes."""
        now = time.monotonic()
        if now - self.last < WAIT:
            return False
        self.last = now
        return True
