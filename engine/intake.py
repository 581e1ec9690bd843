"""Brings files in as datasets, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import psutil

from engine.catalog import BadInput
from engine.data import doctor, versions
from engine.data.archive import shown
from engine.data.arrays import Stored
from engine.data.fetch import mirror
from engine.data.imports import (
    Imported,
    ImportOptions,
    Kind,
    Step,
    bring_in,
    remembered,
)
from engine.data.origins import get
from engine.data.upgrade import upgraded
from engine.home import Home
from engine.ledger import DatasetEntry, Ledger
from engine.processes import alive, me, start

MENDABLE = {"skip_broken", "columns", "group", "split", "encoding", "delimiter", "size", "rate"}
"""Options by which an import that failed can go well: what it was to read is kept for that."""


class Shelf(Ledger, Protocol):
    """A ledger where a dataset can be begun."""

    def add_dataset(
        self,
        *,
        name: str,
        kind: str,
        source: str,
        pid: int | None = None,
        pid_started: float | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> DatasetEntry: ...
    def delete_dataset(self, id: int) -> None: ...


@dataclass(frozen=True)
class Order:
    """What an import process is told: files, or the address that they are fetched from."""

    paths: tuple[Path, ...] = ()
    origin: str = ""
    kind: Kind | None = None
    options: ImportOptions = ImportOptions()  # noqa: RUF009 (frozen)
    extension: Mapping[str, Any] | None = None
    """What a dataset is extended by (`engine.extending`), as JSON values."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "paths": [str(path) for path in self.paths], "origin": self.origin, "kind": self.kind,
            "options": self.options.model_dump(mode="json"), "extension": self.extension,
        }  # fmt: skip

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Order:
        """From what `plain` gave."""
        return cls(
            tuple(map(Path, said["paths"])), said["origin"], cast(Kind | None, said["kind"]),
            ImportOptions.of(said["options"]), said.get("extension"),
        )  # fmt: skip

    def carried_out(self, into: Path, home: Home) -> Iterator[Step | Imported]:
        """The import's steps, and at last what it has made."""
        if self.extension is not None:
            from engine import extending  # it loads PyTorch

            return extending.extended(self.extension, into, home)
        if self.origin:
            return get(self.origin, into, home=home, mirror=mirror(), kind=self.kind,
                       options=self.options)  # fmt: skip
        return bring_in(self.paths, into, kind=self.kind, options=self.options)


class Intake:
    """Starts an import process for each dataset; the history shows how far it is.

    `command` and the dataset's id start one that reads its order from standard input and ends like
    `take_in`.
    """

    def __init__(self, ledger: Shelf, home: Home, command: Sequence[str]) -> None:
        self.ledger, self.home, self.command = ledger, home, command
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """Import files; the new dataset's id. BadInput when an option is wrong."""
        order = Order(tuple(paths), kind=cast(Kind | None, kind),
                      options=ImportOptions.of(options or {}))  # fmt: skip
        return self._begin(order, name=name, source=", ".join(path.name for path in paths))

    def get(self, origin: str, *, name: str = "", options: Mapping[str, Any] | None = None) -> int:
        """Fetch a dataset by its address and import it; the new dataset's id."""
        order = Order(origin=origin, options=ImportOptions.of(options or {}))
        return self._begin(order, name=name or origin.partition(":")[2], source=origin)

    def extend(self, extension: Mapping[str, Any], *, name: str, source: str) -> int:
        """Make a dataset of an earlier one and of what models have made; the new one's id."""
        return self._begin(Order(extension=dict(extension)), name=name, source=source)

    def retry(self, id: int, options: Mapping[str, Any]) -> int:
        """Import again what failed, with other options; the new dataset's id.

        BadInput when what it was to read is gone.
        """
        row = self.ledger.dataset(id)
        said = row.meta.get("retry")
        if row.state != "failed" or not said:
            raise BadInput("This import can't be tried again: bring the files in anew")
        before = Order.of(said)
        if any(not path.exists() for path in before.paths):
            raise BadInput("The upload isn't kept any more: bring the files in anew")
        merged = {**before.options.model_dump(mode="json"), **options}
        order = Order(before.paths, before.origin, before.kind, ImportOptions.of(merged))
        number = self._begin(order, name=row.name, source=row.source)
        self.ledger.delete_dataset(id)
        return number

    def remove(self, id: int) -> None:
        """Forget a dataset and delete its files; an import that goes on is ended."""
        row = self.ledger.dataset(id)
        self.ledger.delete_dataset(id)
        if row.state == "importing" and alive(row.pid, row.pid_started):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(row.pid)
                for one in [process, *process.children(recursive=True)]:
                    one.kill()
                process.wait(5)
        for left in (self.home.dataset(id), *self.home.partials(id)):
            shutil.rmtree(left, ignore_errors=True)
        if said := row.meta.get("retry") or row.meta.get("order"):
            self.home.forget(Order.of(said).paths)

    def _begin(self, order: Order, *, name: str, source: str) -> int:
        said = order.plain()
        row = self.ledger.add_dataset(
            name=name, kind=order.kind or "", source=source, meta={"order": said}
        )
        log = self.home.root / "imports.log"
        # Asked, those that have ended leave the system's list; the others outlive this program.
        self.processes = [one for one in self.processes if one.poll() is None]
        try:
            process = start([*self.command, str(row.id)], log=log, stdin=subprocess.PIPE)
        except OSError:
            self.ledger.delete_dataset(row.id)
            raise
        self.processes.append(process)
        assert process.stdin is not None
        with process.stdin, contextlib.suppress(BrokenPipeError):  # the row says how it ended
            process.stdin.write(json.dumps(said).encode())  # it may be too long for an argument
        # Until the process says who it is: so that its death isn't missed.
        with contextlib.suppress(psutil.NoSuchProcess, ValueError, LookupError):  # ended already
            began = psutil.Process(process.pid).create_time()
            self.ledger.import_owner(row.id, pid=process.pid, pid_started=began)
        return row.id


def take_in(
    ledger: Ledger, home: Home, number: int, order: Order,
    *, show: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> bool:  # fmt: skip
    """Carry out an import that has its row in the history; False if it failed: the row says why.

    `show` is told how far it is, as the history is. Files in the home's own folder for uploads are
    deleted when they have been read.
    """
    pid, started = me()
    ledger.import_owner(number, pid=pid, pid_started=started)
    folder = home.dataset(number)
    retry: dict[str, Any] = {}
    try:
        for said in order.carried_out(folder, home):
            if isinstance(said, Step):
                ledger.import_progress(number, said.done, said.total, said.text)
                show(said.done, said.total, said.text)
                continue
            if twin := same(ledger, said):
                shutil.rmtree(folder, ignore_errors=True)
                raise BadInput(
                    f"This is dataset {twin.id} already, {shown(twin.name)}: the same content "
                    "with the same options. Use that one, or remove it first"
                )
            ledger.dataset_ready(
                number, card=said.card, provides=said.provides, meta=said.meta,
                bytes=said.bytes, fingerprint=said.fingerprint,
            )  # fmt: skip
        return True
    except LookupError:  # somebody has removed it meanwhile
        shutil.rmtree(folder, ignore_errors=True)
    except BadInput as problem:
        if problem.field in MENDABLE:
            retry = {"retry": {"field": problem.field, **order.plain()}}
        ledger.import_failed(number, str(problem), meta=retry)
    except Exception as problem:
        traceback.print_exc()
        ledger.import_failed(number, f"The program failed on this file ({problem}). See "
                                     f"{home.root / 'imports.log'}")  # fmt: skip
    finally:
        if not retry:
            home.forget(order.paths)
    return False


def same(ledger: Ledger, made: Imported) -> DatasetEntry | None:
    """An earlier dataset that was made of the same content in the same way."""
    for row in ledger.datasets():
        alike = row.state == "ready" and row.fingerprint == made.fingerprint
        if alike and all(row.meta.get(n) == made.meta[n] for n in ("kind", "options", "columns")):
            return row
    return None


def revise(
    home: Home, number: int, version: int, wanted: Any = None, *, finding: str | None = None
) -> dict[str, Any]:
    """Make the version of a dataset that follows from `version`, by a change given as JSON values.

    With `finding` it is what mends that one. What was made, and what the history is to keep of it.
    BadInput says why it can't be made.
    """
    folder = upgraded(home.dataset(number))
    why = ""
    if finding is not None:
        found = doctor.kept(Stored(folder, version))
        wanted, why = doctor.mend_of(found, finding), doctor.named(found, finding).button
    made = versions.change(folder, versions.change_of(wanted), parent=version, why=why)
    stored = Stored(folder, made.number)
    meta = remembered(stored, doctor.check(stored))
    return {"version": made.number, "change": made.change, "meta": meta}
