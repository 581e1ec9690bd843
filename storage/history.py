"""The history: every run that there ever was, kept through short transactions.

Values go in and frozen values come out; no row or connection is ever seen outside. One `History`
serves many threads, and many processes may each have one on the same database. (A process that
forks makes its own afterwards: SQLite's connections don't survive a fork.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, and_, bindparam, delete, func, insert, select, update

from storage import comparisons, curves, datasets, packing, portrait, runs
from storage.database import Database
from storage.schema import (
    ComparisonTable,
    DatasetTable,
    NoticeTable,
    RunTable,
    SampleTable,
    TagTable,
)
from storage.values import (
    ACTIVE,
    RESUMABLE,
    BadState,
    Comparison,
    Curve,
    DatasetRow,
    NoticeRow,
    Run,
    SampleRow,
    State,
    Wish,
)

Point = tuple[str, int, float, float, float]
"""Series, step, epoch, seconds, value."""

PROGRESS = {
    "step", "steps", "epoch", "epochs", "seconds", "remaining", "rate", "learning_rate", "memory"
}  # fmt: skip


class Sample(Protocol):
    """What `record` reads of a sample: an event has it, and a `SampleRow` too."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> float: ...
    @property
    def data(self) -> dict[str, Any]: ...


class Notice(Protocol):
    """What `record` reads of a notice."""

    @property
    def level(self) -> str: ...
    @property
    def text(self) -> str: ...


class History:
    """Runs, the queue, curves, samples and notices, comparisons, and the imported datasets.

    Any method raises Unavailable, an OSError, when the database can't be read or written.
    """

    def __init__(self, url_or_path: str | Path | URL, *, readonly: bool = False) -> None:
        """Open the history, create it, or bring it up to date after a copy was put beside it.

        A path is a SQLite file; with ``://`` it is any URL that SQLAlchemy knows.
        UnusableDatabase (NewerDatabase where that is why) says what to do instead.
        """
        self._database = Database(url_or_path, readonly=readonly)
        self._reading = self._database.reading
        self._writing = self._database.writing

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- runs -----------------------------------------------------------------------------------

    def add_run(
        self,
        recipe: str,
        *,
        name: str,
        task: str,
        model: str,
        data: str,
        method: str,
        parent: int | None = None,
        dataset: int | None = None,
        comparison: int | None = None,
        state: State = "queued",
    ) -> Run:
        """A new run, last in the queue. `recipe` is JSON, the four others are names of cards.

        NoSuchRun, NoSuchDataset or NoSuchComparison when what it starts from or is a part of is
        gone, BadState when its dataset isn't ready.
        """
        with self._writing() as connection:
            if parent is not None:
                runs.state_of(connection, parent)
            if comparison is not None:
                comparisons.get(connection, comparison)
            if (
                dataset is not None
                and (found := datasets.get(connection, dataset).state) != "ready"
            ):
                raise BadState(f"Dataset {dataset} is {found}: it can't be trained on")
            position = runs.place(connection, first=False) if state == "queued" else None
            made = connection.execute(
                insert(RunTable).values(
                    name=name, recipe=recipe, state=state, reason="", position=position,
                    created=time.time(), parent=parent, dataset=dataset,
                    comparison=comparison, task=task, model=model, data=data, method=method,
                    notes="", step=0, steps=0, epoch=0.0, epochs=0, seconds=0.0, memory=0,
                    metrics="{}", words="",
                )
            ).inserted_primary_key  # fmt: skip
            assert made is not None
            runs.index_words(connection, made[0])
            return runs.get(connection, made[0])

    def run(self, id: int) -> Run:
        """NoSuchRun when there is none."""
        with self._reading() as connection:
            return runs.get(connection, id)

    def runs(
        self,
        *,
        search: str = "",
        states: Sequence[State] = (),
        tags: Sequence[str] = (),
        comparison: int | bool | None = None,
        sort: str = "created",
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[list[Run], int]:
        """A page of runs, and how many there are in all that match.

        Every word of `search` occurs in the name, notes, tags, model, data or task, in any case.
        A run has one of `states` and all of `tags`. `comparison` is the one that it is a part of,
        False leaves out those of any, True all others. `sort` is a column of a run or
        ``metrics.test/accuracy``; a run without that value, or with NaN, comes last either way.
        """
        wanted = runs.matching(search, states, tags, comparison)
        order = runs.sorted_ids(sort, descending=descending).where(*wanted)
        count = select(func.count()).select_from(RunTable).where(*wanted)
        with self._reading() as connection:
            total = connection.execute(count).scalar_one()
            # The ids alone are sorted: a row carries its whole recipe.
            ids = list(connection.execute(order.offset(offset).limit(limit)).scalars())
            page = {run.id: run for run in runs.where(connection, RunTable.id.in_(ids))}
        return [page[id] for id in ids], total

    def family(self, id: int, *, most: int = 1000) -> tuple[list[Run], list[Run]]:
        """The runs that a run comes from, the first one first, and those that started from it; of
        both at most so many, the nearest and the newest.

        NoSuchRun when there is none.
        """
        with self._reading() as connection:
            before: list[Run] = []
            parent = runs.get(connection, id).parent
            while parent is not None and len(before) < most:
                before.insert(0, runs.get(connection, parent))
                parent = before[0].parent
            ids = select(RunTable.id).where(RunTable.parent == id)
            ids = ids.order_by(RunTable.id.desc()).limit(most)
            newest = list(connection.execute(ids).scalars())
            return before, runs.where(connection, RunTable.id.in_(newest), RunTable.__table__.c.id)

    def line(self, id: int) -> list[Run]:
        """A run and those that it comes from, the nearest first. NoSuchRun when there is none."""
        before, _ = self.family(id)
        return [self.run(id), *reversed(before)]

    def portrait(self, id: int) -> dict[str, Any]:
        """All that is remembered of a run that somebody who gets its model would want to know
        (`storage.portrait`), as JSON values."""
        return portrait.portrait(self, id)

    def queue(self) -> list[Run]:
        """The queued runs, next one first."""
        with self._reading() as connection:
            queued = RunTable.state == "queued"
            order = RunTable.__table__.c.position, RunTable.__table__.c.id
            return runs.where(connection, queued, *order)

    def active(self) -> list[Run]:
        """The runs that a process works on, or is said to."""
        with self._reading() as connection:
            return runs.where(connection, RunTable.state.in_(ACTIVE), RunTable.__table__.c.id)

    def rename(self, id: int, name: str) -> None:
        self._change(id, name=name)

    def annotate(self, id: int, *, notes: str) -> None:
        self._change(id, notes=notes)

    def _change(self, id: int, **values: str) -> None:
        with self._writing() as connection:
            if not runs.change(connection, id, **values):
                raise runs.no_such_run(id)
            runs.index_words(connection, id)

    def tag(self, id: int, tags: Iterable[str]) -> None:
        """These tags and no others, in this order."""
        names = dict.fromkeys(name for tag in tags if (name := tag.strip()))
        with self._writing() as connection:
            runs.state_of(connection, id)
            connection.execute(delete(TagTable).where(TagTable.run == id))
            if names:
                rows = [{"run": id, "tag": tag, "position": n} for n, tag in enumerate(names)]
                connection.execute(insert(TagTable), rows)
            runs.index_words(connection, id)

    def tags(self) -> list[str]:
        """Every tag that a run has, in the order of the alphabet."""
        with self._reading() as connection:
            found = connection.execute(select(TagTable.tag).distinct()).scalars()
            return sorted(found, key=str.casefold)

    def delete_run(self, id: int) -> None:
        """Forget a run and all that it recorded; runs that started from it get its parent, so that
        their line isn't cut.

        BadState while it is active.
        """
        with self._writing() as connection:
            state = runs.state_of(connection, id)
            if state in ACTIVE:
                raise BadState(f"Run {id} is {state}: stop it before deleting it")
            parent = runs.get(connection, id).parent
            children = update(RunTable).where(RunTable.parent == id)
            connection.execute(children.values(parent=parent))
            connection.execute(delete(RunTable).where(RunTable.id == id))

    # --- the queue ------------------------------------------------------------------------------

    def reorder(self, id: int, *, before: int | None) -> None:
        """Move a queued run before another queued one, or to the end. BadState otherwise."""
        with self._writing() as connection:
            order = runs.queue(connection)
            for moved in (id,) if before is None else (id, before):
                if moved not in order:
                    state = runs.state_of(connection, moved)
                    raise BadState(f"Run {moved} is {state}, not queued")
            if id == before:
                return
            order.remove(id)
            order.insert(len(order) if before is None else order.index(before), id)
            connection.execute(
                update(RunTable).where(RunTable.id == bindparam("run")).values(
                    position=bindparam("place")
                ),
                [{"run": run, "place": place} for place, run in enumerate(order, start=1)],
            )  # fmt: skip

    def dequeue(self, id: int) -> None:
        """Take a queued run out of the queue: it is stopped. BadState if it isn't queued."""
        with self._writing() as connection:
            runs.dequeue(connection, id)

    def requeue(self, id: int, *, first: bool = True) -> Run:
        """Queue a run again, to go on from its newest checkpoint.

        BadState unless it is paused, interrupted, failed or stopped.
        """
        with self._writing() as connection:
            if not runs.change(
                connection, id, RunTable.state.in_(RESUMABLE), state="queued", reason="",
                position=runs.place(connection, first=first), finished=None, device=None,
            ):  # fmt: skip
                state = runs.state_of(connection, id)
                raise BadState(f"Run {id} is {state}: it can't be queued again")
            return runs.get(connection, id)

    def claim(self, id: int, *, device: str, pid: int, pid_started: float) -> Run | None:
        """Give a queued run and its device to one process; None if either is no longer free."""
        with self._writing() as connection:
            # Locked for databases whose writers don't wait for each other from the start:
            # whoever claims next reads what was decided here.
            lines = connection.execute(
                select(RunTable.id, RunTable.state, RunTable.device)
                .where(RunTable.state.in_(("queued", *ACTIVE)))
                .with_for_update()
            ).all()
            queued = any(line.id == id and line.state == "queued" for line in lines)
            taken = any(line.state in ACTIVE and line.device == device for line in lines)
            if taken or not queued:
                runs.state_of(connection, id)
                return None
            now = time.time()
            runs.change(
                connection, id, state="preparing", position=None, reason="", wish=None,
                device=device, pid=pid, pid_started=pid_started, heartbeat=now,
                started=func.coalesce(RunTable.started, now), finished=None,
            )  # fmt: skip
            return runs.get(connection, id)

    def wish(self, id: int, wish: Wish) -> None:
        """Ask an active run to stop, cancel, pause or save; a queued one is dequeued instead.

        A wish to save doesn't displace one to end. BadState when the run has ended, and for
        saving a queued one.
        """
        with self._writing() as connection:
            state = runs.state_of(connection, id)
            if state == "queued" and wish != "save":
                runs.dequeue(connection, id)
            elif state not in ACTIVE:
                raise BadState(f"Run {id} is {state}: there is nothing to {wish}")
            elif wish == "save":
                runs.change(connection, id, RunTable.wish.is_(None), wish=wish)
            else:
                runs.change(connection, id, wish=wish)

    # --- what a process says of its run -----------------------------------------------------------

    def beat(self, id: int, *, pid: int) -> Wish | None:
        """Say that the process lives, and hear what is wished; a wish to save is said once.

        LostRun when the run isn't active or is another process's.
        """
        with self._writing() as connection:
            if not runs.change(connection, id, runs.held(pid), heartbeat=time.time()):
                raise runs.lost(connection, id)
            wish: Any = connection.execute(
                select(RunTable.wish).where(RunTable.id == id)
            ).scalar_one()
            if wish == "save":
                runs.change(connection, id, wish=None)
            return wish  # type: ignore[no-any-return]

    def record(
        self,
        id: int,
        *,
        points: Iterable[Point] = (),
        progress: Mapping[str, Any] | None = None,
        samples: Iterable[Sample] = (),
        notices: Iterable[Notice] = (),
        saved: tuple[int, bool] | None = None,
        pid: int | None = None,
    ) -> None:
        """Remember a batch of what a run said, all or nothing, in one short transaction.

        A point or sample at a step that its series has already replaces it. `progress` has the
        fields of a `Run` from `step` to `memory`; the first one makes the run ``running``.
        `saved` is a checkpoint's step and whether it is the best so far.
        LostRun when the run isn't active, or not `pid`'s where that is given; notices alone are
        taken at any time.
        """
        new = _by_series(points)
        samples, notices = list(samples), list(notices)
        values: dict[str, Any] = {}
        if progress:
            assert progress.keys() <= PROGRESS, f"not progress: {progress.keys() - PROGRESS}"
            values |= {name: _known(value) for name, value in progress.items()}
            values["state"] = "running"
        if saved:
            step, best = saved
            values |= {"saved_step": step} | ({"best_step": step} if best else {})
        with self._writing() as connection:
            if values or new or samples:
                values["heartbeat"] = time.time()
                if not runs.change(connection, id, runs.held(pid), **values):
                    raise runs.lost(connection, id)
            else:
                runs.state_of(connection, id)
            if new:
                curves.extend(connection, id, new)
            for sample in samples:
                key = {"run": id, "name": sample.name, "step": sample.step}
                connection.execute(delete(SampleTable).filter_by(**key))
                rest = {"kind": sample.kind, "epoch": sample.epoch}
                data = packing.to_json(sample.data)
                connection.execute(insert(SampleTable).values(**key, **rest, data=data))
            if notices:
                now = time.time()
                connection.execute(
                    insert(NoticeTable),
                    [{"run": id, "time": now, "level": n.level, "text": n.text} for n in notices],
                )

    def rewind(self, id: int, step: int) -> None:
        """Forget what was measured and shown after `step`: a resumed run will repeat it."""
        with self._writing() as connection:
            runs.state_of(connection, id)
            curves.cut(connection, id, step)
            connection.execute(
                delete(SampleTable).where(SampleTable.run == id, SampleTable.step > step)
            )

    def end(
        self,
        id: int,
        *,
        state: State,
        reason: str,
        metrics: Mapping[str, Any] | None = None,
        kept: bool = True,
        pid: int | None = None,
    ) -> None:
        """The run is over, or paused, and `reason` says why; `kept` is off if no checkpoint stays.

        LostRun when it had ended already, or isn't `pid`'s where that is given.
        """
        assert state not in (*ACTIVE, "queued"), state
        assert reason, "every end has a reason"
        open_ended = RunTable.state.in_(("queued", *ACTIVE)) if pid is None else runs.held(pid)
        with self._writing() as connection:
            if not runs.end(connection, id, open_ended, state, reason):
                raise runs.lost(connection, id)
            if metrics is not None:
                runs.measure(connection, id, metrics)
            if not kept:
                runs.change(connection, id, saved_step=None, best_step=None)

    def interrupt(self, id: int, reason: str, *, pid: int | None = None) -> bool:
        """Mark an active run as interrupted; False if it has ended by itself meanwhile.

        With `pid` only if it is still that process's: it may have been resumed meanwhile.
        """
        assert reason, "every end has a reason"
        with self._writing() as connection:
            runs.state_of(connection, id)
            return runs.end(connection, id, runs.held(pid), "interrupted", reason)

    # --- what a run measured and showed -----------------------------------------------------------

    def curves(
        self,
        id: int,
        *,
        since: int | Mapping[str, int] = -1,
        series: Iterable[str] | None = None,
    ) -> dict[str, Curve]:
        """The points that come after step `since`, for each series that has any.

        `since` may say it for each series: one that it doesn't name comes whole.
        """
        found = {}
        with self._reading() as connection:
            runs.state_of(connection, id)
            for head in curves.heads(connection, id, series):
                start = since if isinstance(since, int) else since.get(head.name, -1)
                if head.last > start:
                    found[head.name] = curves.read(connection, head.id, start)
        return found

    def last_points(self, id: int) -> dict[str, float]:
        """The newest value of each series."""
        with self._reading() as connection:
            runs.state_of(connection, id)
            heads = curves.heads(connection, id)
        return {head.name: packing.floats(head.latest)[0] for head in heads}

    def sparks(
        self,
        ids: Iterable[int],
        *,
        prefer: Sequence[str] = ("validation/loss", "train/loss"),
    ) -> dict[int, list[float]]:
        """At most 40 evenly chosen values for each run: of the first series in `prefer` it has."""
        with self._reading() as connection:
            return curves.sparks(connection, ids, prefer)

    def samples(self, id: int, *, name: str | None = None, last: bool = True) -> list[SampleRow]:
        """What the run showed, oldest first: only the newest of each name unless `last` is off."""
        table = SampleTable.__table__
        wanted = [table.c.run == id] + ([table.c.name == name] if name is not None else [])
        query = select(*(table.c[field.name] for field in fields(SampleRow))).where(*wanted)
        if last:
            newest = (
                select(table.c.name, func.max(table.c.step).label("step"))
                .where(*wanted)
                .group_by(table.c.name)
                .subquery()
            )
            same = and_(table.c.name == newest.c.name, table.c.step == newest.c.step)
            query = query.join(newest, same)
        with self._reading() as connection:
            runs.state_of(connection, id)
            rows = connection.execute(query.order_by(table.c.step, table.c.id)).all()
        return [SampleRow(**row._asdict() | {"data": packing.from_json(row.data)}) for row in rows]

    def sample(self, id: int, name: str, *, step: int | None = None) -> SampleRow | None:
        """What the run showed under that name at that step, or last; None where it didn't."""
        table = SampleTable.__table__
        query = select(*(table.c[field.name] for field in fields(SampleRow)))
        query = query.where(table.c.run == id, table.c.name == name)
        if step is not None:
            query = query.where(table.c.step == step)
        with self._reading() as connection:
            runs.state_of(connection, id)
            row = connection.execute(query.order_by(table.c.step.desc()).limit(1)).one_or_none()
        if row is None:
            return None
        return SampleRow(**row._asdict() | {"data": packing.from_json(row.data)})

    def sample_steps(self, id: int) -> list[tuple[str, str, int, float]]:
        """Name, kind, step and epoch of all that the run showed, oldest first.

        Pictures weigh much more than this list, so a page asks for the one that it shows.
        """
        table = SampleTable.__table__
        query = select(table.c.name, table.c.kind, table.c.step, table.c.epoch)
        with self._reading() as connection:
            runs.state_of(connection, id)
            rows = connection.execute(
                query.where(table.c.run == id).order_by(table.c.step, table.c.id)
            )
            return [(row.name, row.kind, row.step, row.epoch) for row in rows]

    def notices(self, id: int, *, since: int = 0) -> list[NoticeRow]:
        """What the run said, oldest first, after the notice whose id is `since`."""
        table = NoticeTable.__table__
        query = (
            select(*(table.c[field.name] for field in fields(NoticeRow)))
            .where(table.c.run == id, table.c.id > since)
            .order_by(table.c.id)
        )
        with self._reading() as connection:
            runs.state_of(connection, id)
            return [NoticeRow(**row._asdict()) for row in connection.execute(query)]

    # --- comparisons ------------------------------------------------------------------------------

    def add_comparison(self, plan: str, *, name: str, open: bool = False) -> Comparison:
        """A plan of many runs, as JSON; the runs are added one by one, of an `open` one as earlier
        ones end."""
        with self._writing() as connection:
            made = connection.execute(
                insert(ComparisonTable).values(name=name, plan=plan, created=time.time(), open=open)
            ).inserted_primary_key
            assert made is not None
            return comparisons.get(connection, made[0])

    def comparison(self, id: int) -> Comparison:
        """NoSuchComparison when there is none."""
        with self._reading() as connection:
            return comparisons.get(connection, id)

    def comparisons(self, *, open: bool = False) -> list[Comparison]:
        """All of them, or those that are `open`, newest first."""
        wanted = [ComparisonTable.__table__.c.open.is_(True)] if open else []
        with self._reading() as connection:
            return comparisons.where(connection, *wanted)

    def open_comparison(self, id: int, open: bool) -> None:
        """Whether runs are still to be added to it."""
        with self._writing() as connection:
            comparisons.get(connection, id)
            connection.execute(
                update(ComparisonTable).where(ComparisonTable.id == id).values(open=open)
            )

    def runs_of(self, comparison: int) -> list[Run]:
        """The runs of a comparison, oldest first. NoSuchComparison when there is none."""
        with self._reading() as connection:
            comparisons.get(connection, comparison)
            part = RunTable.comparison == comparison
            return runs.where(connection, part, RunTable.__table__.c.id)

    def states_of_comparisons(self) -> dict[int, dict[str, int]]:
        """How many runs each comparison has in each state."""
        part_of, state = RunTable.__table__.c.comparison, RunTable.__table__.c.state
        query = select(part_of, state, func.count()).where(part_of.is_not(None))
        found: dict[int, dict[str, int]] = {}
        with self._reading() as connection:
            for comparison, name, count in connection.execute(query.group_by(part_of, state)):
                found.setdefault(comparison, {})[name] = count
        return found

    def rename_comparison(self, id: int, name: str) -> None:
        with self._writing() as connection:
            comparisons.get(connection, id)
            connection.execute(
                update(ComparisonTable).where(ComparisonTable.id == id).values(name=name)
            )

    def delete_comparison(self, id: int) -> list[int]:
        """Forget a comparison with all its runs; their ids. BadState while one is active."""
        with self._writing() as connection:
            comparisons.get(connection, id)
            part = RunTable.comparison == id
            lines = connection.execute(select(RunTable.id, RunTable.state).where(part)).all()
            if busy := [line.id for line in lines if line.state in ACTIVE]:
                raise BadState(f"Run {busy[0]} of it is under way: stop the comparison first")
            connection.execute(delete(RunTable).where(part))
            connection.execute(delete(ComparisonTable).where(ComparisonTable.id == id))
            return [line.id for line in lines]

    # --- imported datasets ------------------------------------------------------------------------

    def add_dataset(
        self,
        *,
        name: str,
        kind: str,
        source: str,
        pid: int | None = None,
        pid_started: float | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> DatasetRow:
        """A dataset whose import begins; `meta` is what is known of it until it has ended."""
        with self._writing() as connection:
            made = connection.execute(
                insert(DatasetTable).values(
                    name=name, kind=kind, source=source, pid=pid, pid_started=pid_started,
                    created=time.time(), state="importing", reason="", done=0, total=0, text="",
                    provides="[]", meta=packing.to_json(dict(meta or {})), bytes=0, fingerprint="",
                )
            ).inserted_primary_key  # fmt: skip
            assert made is not None
            return datasets.get(connection, made[0])

    def dataset(self, id: int) -> DatasetRow:
        """NoSuchDataset when there is none."""
        with self._reading() as connection:
            return datasets.get(connection, id)

    def datasets(self) -> list[DatasetRow]:
        """All of them, newest first, those that failed too."""
        with self._reading() as connection:
            return datasets.where(connection)

    def import_owner(self, id: int, *, pid: int, pid_started: float) -> None:
        """Which process imports it."""
        with self._writing() as connection:
            datasets.importing(connection, id, pid=pid, pid_started=pid_started)

    def import_progress(self, id: int, done: int, total: int, text: str) -> None:
        """How far the import is. NoSuchDataset once somebody has deleted it."""
        with self._writing() as connection:
            datasets.importing(connection, id, done=done, total=total, text=text)

    def dataset_ready(
        self,
        id: int,
        *,
        card: str,
        provides: Iterable[str],
        meta: Mapping[str, Any],
        bytes: int,
        fingerprint: str,
    ) -> DatasetRow:
        """The import is through, and the dataset can be trained on."""
        with self._writing() as connection:
            datasets.importing(
                connection, id, state="ready", card=card,
                provides=packing.to_json(sorted(provides)), meta=packing.to_json(dict(meta)),
                bytes=bytes, fingerprint=fingerprint, text="", pid=None, pid_started=None,
            )  # fmt: skip
            return datasets.get(connection, id)

    def import_failed(self, id: int, reason: str, *, meta: Mapping[str, Any] | None = None) -> None:
        """The import is over; the row stays, with the reason, until it is deleted.

        `meta` keeps what is needed to try again.
        """
        assert reason, "every end has a reason"
        with self._writing() as connection:
            datasets.importing(
                connection, id, state="failed", reason=reason, text="", pid=None,
                pid_started=None, meta=packing.to_json(dict(meta or {})),
            )  # fmt: skip

    def dataset_changed(self, id: int, *, meta: Mapping[str, Any]) -> DatasetRow:
        """Another version is the current one. NoSuchDataset, or BadState while it isn't ready."""
        with self._writing() as connection:
            datasets.changed(connection, id, meta=packing.to_json(dict(meta)))
            return datasets.get(connection, id)

    def delete_dataset(self, id: int) -> None:
        """Forget a dataset. BadState while a queued or active run needs it."""
        with self._writing() as connection:
            datasets.get(connection, id)
            users = connection.execute(
                select(RunTable.id).where(
                    RunTable.dataset == id, RunTable.state.in_(("queued", *ACTIVE))
                )
            ).scalars()
            if needed := ", ".join(map(str, users)):
                raise BadState(f"Dataset {id} is needed by run {needed}: stop it first")
            connection.execute(delete(DatasetTable).where(DatasetTable.id == id))


def _by_series(points: Iterable[Point]) -> dict[str, Curve]:
    series: dict[str, list[packing.Point]] = {}
    for name, step, epoch, seconds, value in points:
        series.setdefault(name, []).append((step, epoch, seconds, value))
    return {name: packing.from_points(rows) for name, rows in series.items()}


def _known(value: Any) -> Any:
    """A rate or a time that couldn't be computed isn't known."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
