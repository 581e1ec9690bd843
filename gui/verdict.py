"""What a comparison says, of starts or of augmentation, in plain sentences with figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from engine.ablations import WITH, WITHOUT, AblationFindings, AblationPlan, Difference
from engine.catalog import Card, Catalog
from engine.comparisons import (
    ComparisonPlan,
    Estimate,
    Findings,
    Gap,
    Learned,
    Place,
    Start,
    seen,
)
from engine.recipe import PUBLISHED, Amount
from gui.text import text

SHARES = ("accuracy", "f1", "precision", "recall")
"""Parts of the names of measures that are shares of one, told in percent."""


def is_share(measure: str) -> bool:
    """Whether a measure is told in percent."""
    return any(part in measure for part in SHARES)


def score(measure: str, found: Estimate) -> str:
    """``71.2 ± 1.4 %``; without an error where one seed can't tell it."""
    percent = is_share(measure)
    mean, half = (
        None if value is None else f"{100 * value:.1f}" if percent else f"{value:.4g}"
        for value in (found.mean, found.half)
    )
    said = mean if half is None else text("starts.said.score", mean=mean, half=half)
    return f"{said} %" if percent else str(said)


def start_name(start: Start) -> str:
    """A start as a sentence or a legend has it."""
    if start is None:
        return text("starts.scratch.short")
    if isinstance(start, int):
        return text("starts.run.short", run=start)
    return text("starts.published").lower() if start == PUBLISHED else start.rpartition("/")[2]


def labels(amount: str, items: int) -> str:
    """``144 labels (10%)``."""
    each = Amount.of(amount).each
    key = "labels" if each is None else "each_one" if each == 1 else "each"
    return text(f"starts.said.{key}", amount=amount, items=f"{items:,}")


def times(number: float) -> str:
    """``6.3``, ``24``."""
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def sentences(plan: ComparisonPlan, found: Findings) -> list[dict[str, str]]:
    """For each start but the first, when it pays and when it doesn't: ``{"start", "text"}``."""
    told = []
    for start in plan.starts[1:]:
        said = " ".join(one[0].upper() + one[1:] for one in _about(start, plan, found))
        if said:
            told.append({"start": start_name(start), "text": said})
    return told


def warnings(
    plan: ComparisonPlan, catalog: Catalog, line: Callable[[int], Iterable[Learned]]
) -> list[str]:
    """A sentence for each start that has seen the labels that it is to save, itself or a run that
    it comes from; `line` as of `engine.comparisons.seen`."""
    return [
        text("starts.knows", run=start) if run == start
        else text("starts.knows.line", run=start, ancestor=run)
        for start, run in seen(plan, catalog, line)
    ]  # fmt: skip


def partial(found: Findings) -> list[str]:
    """A sentence for each start that fits the model only in part."""
    return [
        text("starts.partial", start=start_name(start), new=new, loaded=loaded)
        for start, (new, loaded) in found.partial.items()
    ]


def _about(start: Start, plan: ComparisonPlan, found: Findings) -> Iterator[str]:
    places = {(place.start, place.amount): place for place in found.places}
    gaps = [gap for gap in found.gaps if gap.start == start]
    if not gaps:
        return
    first = plan.starts[0]
    names = {"start": start_name(start), "first": start_name(first)}
    one_seed, gaps = gaps[0], [gap for gap in gaps if gap.better.half is not None]
    if not gaps:  # a single seed can't tell what is chance
        yield _with(names, one_seed, places, first, found)
        yield text("starts.said.one_seed")
        return
    better = [gap for gap in gaps if gap.sure > 0]
    seeds = min(gap.better.count for gap in gaps)
    if not better:
        yield _with(names, gaps[0], places, first, found)
        yield text("starts.said.nowhere", **names, seeds=seeds)
    else:
        yield _with(names, better[0], places, first, found)
        saving = next(
            (one for one in found.savings if (one.start, one.amount) == (start, better[0].amount)),
            None,
        )
        if saving is not None and saving.needed is None:
            yield text("starts.said.never", **names, most=f"{saving.most:,}")
        elif saving is not None and not saving.fewest:
            yield text("starts.said.needs", **names, times=times(saving.times))
        after = gaps[gaps.index(better[-1]) + 1 :]
        if after:
            yield text("starts.said.until", labels=labels(after[0].amount, after[0].items),
                       seeds=seeds)  # fmt: skip
        elif len(gaps) == len(plan.amounts):
            yield text("starts.said.still", labels=labels(gaps[-1].amount, gaps[-1].items))
    for gap in gaps:
        if gap.sure < 0:
            yield text(
                "starts.said.worse", labels=labels(gap.amount, gap.items),
                score=score(found.measure, places[start, gap.amount].score),
                base=score(found.measure, places[first, gap.amount].score),
            )  # fmt: skip


def _with(
    names: dict[str, str], gap: Gap, places: dict[tuple[Start, str], Place], first: Start,
    found: Findings,
) -> str:  # fmt: skip
    return text(
        "starts.said.with", **names, labels=labels(gap.amount, gap.items),
        score=score(found.measure, places[gap.start, gap.amount].score),
        base=score(found.measure, places[first, gap.amount].score),
    )  # fmt: skip


# --- with and without augmentation --------------------------------------------------------------


def spread(measure: str, found: Estimate) -> str:
    """``71.2 ± 1.4 %``: the mean and the standard deviation over the seeds."""
    percent = is_share(measure)
    mean, deviation = (
        None if value is None else f"{100 * value:.1f}" if percent else f"{value:.4g}"
        for value in (found.mean, found.deviation)
    )
    if deviation is None:
        return f"{mean} %" if percent else str(mean)
    said = text("starts.said.score", mean=mean, half=deviation)
    return f"{said} %" if percent else said


def step(measure: str, found: Estimate) -> str:
    """``+1.4 ± 0.6`` of a difference, in percentage points where the measure is a share."""
    said = _signed(measure, found.mean)
    if found.deviation is not None:
        percent = is_share(measure)
        part = f"{100 * found.deviation:.1f}" if percent else f"{found.deviation:.3g}"
        said = text("starts.said.score", mean=said, half=part)
    return _points(measure, said)


def interval(measure: str, found: Estimate) -> str | None:
    """``−0.2 … +3.0`` of a difference; None where it can't be told."""
    if found.half is None:
        return None
    low, high = (_signed(measure, found.mean + sign * found.half) for sign in (-1, 1))
    return _points(measure, f"{low} … {high}")


def _signed(measure: str, value: float) -> str:
    said = f"{100 * value:+.1f}" if is_share(measure) else f"{value:+.3g}"
    return said.replace("-", "−", 1)


def _points(measure: str, said: str) -> str:
    return text("ablation.points", points=said) if is_share(measure) else said


def arm_name(arm: str, card: Card) -> str:
    """An arm as a legend has it: “with augmentation”, “without MixUp”."""
    if arm in (WITH, WITHOUT):
        return text(f"ablation.{arm}")
    label = card.field(arm.removeprefix(f"{WITHOUT} ")).label
    return text("ablation.less", name=label)


def of_ablation(plan: AblationPlan, found: AblationFindings, card: Card) -> list[str]:
    """Whether augmentation helps, and each part of it where they were tried one by one."""
    said = []
    scores = {one.arm: spread(found.measure, one.score) for one in found.arms}
    for one in found.differences:
        names = {
            "better": step(found.measure, one.better), "score": scores[WITH],
            "base": scores[one.arm], "seeds": one.better.count,
        }  # fmt: skip
        if one.arm == WITHOUT:
            said.append(text(f"ablation.said.{_word(one)}", **names))
        else:
            name = card.field(one.arm.removeprefix(f"{WITHOUT} ")).label
            said.append(text(f"ablation.said.one.{_word(one)}", name=name, **names))
    return said


def _word(one: Difference) -> str:
    if one.better.half is None:
        return "single"
    return {1: "helps", 0: "unsure", -1: "harms"}[one.better.sure]
