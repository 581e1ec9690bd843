"""What is wrong with a dataset, said before training: findings ranked by harm, with their mends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from engine.catalog import BadInput
from engine.data import checks, contents
from engine.data.arrays import Stored
from engine.data.findings import Finding, Harm, Setting, Subject
from engine.home import replacing

__all__ = ["Finding", "Setting", "examine", "keep", "kept"]

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    checks.empty_splits, checks.one_class, checks.untrained_classes, checks.copies,
    checks.spellings, checks.contradictions, checks.near_copies, contents.sequences,
    contents.constant_images, contents.sound, checks.repeated, checks.small_classes,
    checks.imbalance, contents.text_lengths, checks.groups, contents.pairs, contents.characters,
    checks.sizes,
)  # fmt: skip
"""In order of harm, as far as each finding's own doesn't say it."""


def examine(stored: Stored) -> list[Finding]:
    """Everything that is wrong with a version of a dataset, the most harmful first.

    Only items that belong to a split count. The same dataset has the same findings.
    """
    subject = Subject(stored)
    found = [finding for check in CHECKS for finding in check(subject)]
    return sorted(found, key=lambda finding: get_args(Harm).index(finding.harm))


def check(stored: Stored) -> list[Finding]:
    """Examine a version that is new, and write what was found into its folder."""
    findings = examine(stored)
    keep(stored, findings)
    return findings


def keep(stored: Stored, findings: Sequence[Finding]) -> None:
    """Write them into the version's folder."""
    said = [finding.model_dump(mode="json") for finding in findings]
    with replacing(stored.at / "findings.json") as beside:
        beside.write_text(json.dumps(said, ensure_ascii=False), "utf-8")


def kept(stored: Stored) -> list[Finding]:
    """The version's findings; examined now, and kept, where they weren't."""
    try:
        said: list[Any] = json.loads((stored.at / "findings.json").read_text("utf-8"))
        return [Finding.model_validate(one) for one in said]
    except (OSError, ValueError, TypeError):
        found = examine(stored)
        with contextlib.suppress(OSError):  # a home that can't be written to can be looked at
            keep(stored, found)
        return found


def named(findings: Sequence[Finding], code: str) -> Finding:
    """The finding of that code. BadInput names those there are."""
    for finding in findings:
        if finding.code == code:
            return finding
    known = ", ".join(one.code for one in findings) or "none"
    raise BadInput(
        f"There is no finding {code!r} in this version (there is: {known}): it was mended already, "
        "or never there"
    )


def mend_of(findings: Sequence[Finding], code: str) -> dict[str, Any]:
    """The change that puts a finding right, as JSON values. BadInput when there is none."""
    finding = named(findings, code)
    if isinstance(finding.mend, Setting):
        raise BadInput(f"This is mended when training: set {finding.mend.name} to "
                       f"{finding.mend.value}")  # fmt: skip
    if finding.mend is None:
        raise BadInput(f"This can't be mended here: {finding.text}")
    return finding.mend.model_dump(mode="json")
