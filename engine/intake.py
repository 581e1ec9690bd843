"""Brings files in as datasets, in a process of its own. It never loads PyTorch."""

from __future__ import annotations

import contextlib
import json
import shutil
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import psutil

from engine.catalog import BadInput
from engine.data.imports import Imported, ImportOptions, Kind, bring_in
from engine.home import Home
from engine.ledger import DatasetEntry, Ledger
from engine.processes import me, start


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
    ) -> DatasetEntry: ...


class Intake:
    """Starts an import process for each file; the history shows how far it is.

    `command` and the dataset's id start one that ends like `take_in`.
    """

    def __init__(self, ledger: Shelf, home: Home, command: Sequence[str]) -> None:
        self.ledger, self.home, self.command = ledger, home, command

    def start(
        self,
        path: Path,
        *,
        name: str,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """The new dataset's id. BadInput when an option is wrong."""
        checked = ImportOptions.of(options or {})
        row = self.ledger.add_dataset(name=name, kind=kind or "", source=path.name)
        order = {"path": str(path), "kind": kind, "options": checked.model_dump(mode="json")}
        log = self.home.root / "imports.log"
        process = start([*self.command, str(row.id), json.dumps(order)], log=log)
        # Until the process says who it is: so that its death isn't missed.
        with contextlib.suppress(psutil.NoSuchProcess, ValueError, LookupError):  # ended already
            began = psutil.Process(process.pid).create_time()
            self.ledger.import_owner(row.id, pid=process.pid, pid_started=began)
        return row.id


def take_in(
    ledger: Ledger,
    home: Home,
    number: int,
    source: Path,
    *,
    kind: Kind | None,
    options: ImportOptions,
) -> bool:
    """Carry out an import that has its row in the history; False if it failed: the row says why.

    A file in the home's own folder for uploads is deleted when it has been read.
    """
    pid, started = me()
    ledger.import_owner(number, pid=pid, pid_started=started)
    try:
        for said in bring_in(source, home.dataset(number), kind=kind, options=options):
            if isinstance(said, Imported):
                ledger.dataset_ready(
                    number, card=said.card, provides=said.provides, meta=said.meta,
                    bytes=said.bytes, fingerprint=said.fingerprint,
                )  # fmt: skip
            else:
                ledger.import_progress(number, said.done, said.total, said.text)
        return True
    except LookupError:  # somebody has removed it meanwhile
        shutil.rmtree(home.dataset(number), ignore_errors=True)
    except BadInput as problem:
        ledger.import_failed(number, str(problem))
    except Exception as problem:
        traceback.print_exc()
        ledger.import_failed(number, f"The program failed on this file ({problem}). See "
                                     f"{home.root / 'imports.log'}")  # fmt: skip
    finally:
        if source.is_file() and home.tmp in source.resolve().parents:
            source.unlink(missing_ok=True)
    return False


def order_from(text: str) -> tuple[Path, Kind | None, ImportOptions]:
    """What `Intake.start` told its process."""
    order = json.loads(text)
    return Path(order["path"]), cast(Kind | None, order["kind"]), ImportOptions.of(order["options"])
