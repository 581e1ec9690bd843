"""The run queue: starts, watches and recovers worker processes. It never loads PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.catalog import BadInput, Device
from engine.home import Home
from engine.ledger import Ledger, RunEntry
from engine.processes import alive, end, start
from engine.recipe import Recipe

LOOK_EVERY = 0.25
"""Seconds between two looks at the queue; `Jobs.poke` makes it look at once."""
NEAR = 10.0
"""Seconds to a run's end from which on the next worker is made."""
REST = 5.0
"""Seconds before another spare is made when one died by itself."""
SILENT = 3.0
"""Seconds without a heartbeat before a run without a process is given up."""
TRIES = 2
"""How many workers may die before they claim a run, until it is given up."""


@dataclass
class Worker:
    """A worker process that this app started, and the run that it was given."""

    process: subprocess.Popen[bytes]
    run: int | None = None
    device: str | None = None


class Jobs:
    """Gives queued runs to workers, one run a device, and notices when a worker is gone.

    `command` starts a worker that waits on its standard input for ``{"run": …, "device": …}``.
    One spare is kept warm, PyTorch imported, while nothing trains, the end is near or more is
    queued: else a running training should have the seconds of processor time that it takes.
    """

    def __init__(
        self, ledger: Ledger, home: Home, command: Sequence[str], devices: Sequence[Device]
    ) -> None:
        self.ledger, self.home, self.command = ledger, home, command
        self.devices = devices
        self.spare: Worker | None = None
        self.given: list[Worker] = []
        self.tries: dict[int, int] = {}
        self.codes: dict[int, int] = {}
        self.hire_after = 0.0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="queue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """There is something new in the queue."""
        self._wake.set()

    def close(self) -> None:
        """Stop looking. Workers that train go on; the spare ends."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.spare is not None:
            end(self.spare.process)
        for worker in self.given:
            if worker.process.stdin is not None:
                worker.process.stdin.close()
            # It goes on without us: nobody will ask how it ended.
            worker.process.returncode = worker.process.returncode or 0

    def _loop(self) -> None:
        while not self._closing:
            try:
                self.look()
            except Exception:  # a locked database, say: the next look may succeed
                traceback.print_exc()
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def look(self) -> None:
        """One round: bury the dead, hand out what is queued, keep a spare."""
        self._bury()
        active = self.ledger.active()
        queued = self.ledger.queue()
        held = {run.device for run in active} | {worker.device for worker in self.given}
        promised = {worker.run for worker in self.given}
        for run in queued:
            if run.id in promised:
                continue
            try:
                device = self._free(run, held)
            except BadInput as problem:  # of another version of the program, say
                self.ledger.end(run.id, state="failed", reason=str(problem))
                continue
            if device is not None:
                self._give(run, device)
                held.add(device)
        rested = time.monotonic() > self.hire_after
        unclaimed = len(active) < len(self.given)
        soon = bool(queued) or not any(map(busy, active))
        if self.spare is None and rested and soon and not unclaimed:
            self.spare = self._hire()

    # --- the dead ---------------------------------------------------------------------------

    def _bury(self) -> None:
        for worker in list(self.given):
            code = worker.process.poll()
            if code is None:
                continue
            self.given.remove(worker)
            if worker.process.stdin is not None:
                worker.process.stdin.close()
            assert worker.run is not None
            self.codes[worker.run] = code
            if code == 0 or all(run.id != worker.run for run in self.ledger.queue()):
                self.tries.pop(worker.run, None)  # it was claimed, by this worker or another
            else:
                self._missed(worker.run, code)
        if self.spare is not None and self.spare.process.poll() is not None:
            self.spare, self.hire_after = None, time.monotonic() + REST
        bury(self.ledger, self.home, self.codes)

    def _missed(self, number: int, code: int) -> None:
        """A worker died before it could claim its run: try another, but not for ever."""
        self.tries[number] = self.tries.get(number, 0) + 1
        if self.tries[number] >= TRIES:
            self.ledger.end(
                number, state="failed",
                reason=f"No worker process could be started (exit code {code}). See "
                       f"{self.home.root / 'worker.log'}",
            )  # fmt: skip

    # --- the queue --------------------------------------------------------------------------

    def _free(self, run: RunEntry, held: set[str | None]) -> str | None:
        """A free device for the run; accelerators come before the CPU in `devices`."""
        wanted = Recipe.from_json(run.recipe).device
        offered = [device.id for device in self.devices]
        if wanted != "auto":
            offered = [wanted]
        elif len(offered) > 1:
            offered.remove("cpu")  # slower than waiting for an accelerator
        return next((device for device in offered if device not in held), None)

    def _give(self, run: RunEntry, device: str) -> None:
        worker, self.spare = self.spare or self._hire(), None
        assert worker.process.stdin is not None
        worker.run, worker.device = run.id, device
        self.codes.pop(run.id, None)
        self.given.append(worker)
        try:
            order = json.dumps({"run": run.id, "device": device})
            worker.process.stdin.write(order.encode() + b"\n")
            worker.process.stdin.flush()
        except OSError:
            return  # it has just died; the next look buries it

    def _hire(self) -> Worker:
        log = self.home.root / "worker.log"
        return Worker(start(self.command, log=log, stdin=subprocess.PIPE))


def busy(run: RunEntry) -> bool:
    """Whether a run will go on for longer than making a worker takes."""
    return run.remaining is None or run.remaining > NEAR


def bury(ledger: Ledger, home: Home, codes: Mapping[int, int] | None = None) -> None:
    """Mark runs and imports whose process is gone, killed say, as what they are.

    What such an import leaves behind is removed.

    `codes` are the exit codes of workers that are known to have ended, by run.
    """
    now = time.time()
    for run in ledger.active():
        silent = run.heartbeat is None or now - run.heartbeat > SILENT
        ended = codes is not None and run.id in codes
        if (silent or ended) and not alive(run.pid, run.pid_started):
            ledger.interrupt(run.id, reason(run, (codes or {}).get(run.id)), pid=run.pid)
    for dataset in ledger.datasets():
        young = dataset.pid is None and now - dataset.created < 60  # its process hasn't said yet
        lost = not young and not alive(dataset.pid, dataset.pid_started)
        if dataset.state == "importing" and lost:
            order = dataset.meta.get("order")
            again = {"retry": {"field": None, **order}} if order else {}
            why = "try it again" if order else "bring the files in again"
            ledger.import_failed(
                dataset.id, f"The import was ended from outside: {why}", meta=again
            )
            for left in home.partials(dataset.id):
                shutil.rmtree(left, ignore_errors=True)


def reason(run: RunEntry, code: int | None) -> str:
    """Why a run ended whose process is gone."""
    how = "The worker process ended without a word"
    if code is not None and code < 0:
        how = f"The worker process was killed by signal {-code}"
    saved = f"from its checkpoint at step {run.saved_step}" if run.saved_step else "from the start"
    return f"{how} after step {run.step}. Resume goes on {saved}."
