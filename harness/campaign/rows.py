"""From what each kernel did to the lines of the verdict. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from harness.campaign.result import SideResult
from harness.model import Cell, Outcome, Splat, Status, Verdict
from harness.verdict import compare, splatset

_UNKNOWN_TEST = "this kernel has no such test"


def cell(
    target: str,
    flavour: str,
    summaries: Mapping[str, str],
    results: Mapping[str, SideResult],
    accelerator: str,
    facts: Mapping[str, object],
    whole: str,
) -> Cell:
    """What a run says of one target and flavour.

    ``results``: side (base, patched) -> what it did; patched alone when that is sound. ``summaries``: id -> summary of
    the scenarios asked for, in order; outcomes of other ids follow. ``whole`` is the id that stands for all of them
    when nobody knows any.
    """
    base, patched = results.get("base"), results.get("patched")
    known = _all_splats(base) if base else ()
    names = _names(summaries, results.values()) or (whole,)
    if base is None:
        assert patched is not None
        rows = tuple(compare.alone(summaries.get(name, ""), target, flavour, _outcome(patched, name)) for name in names)
    else:
        rows = tuple(
            compare.row(
                summaries.get(name, ""),
                target,
                flavour,
                compare.trusted(_outcome(base, name)),
                compare.trusted(_outcome(patched, name), known) if patched else None,
                patched is not None,
                known,
            )
            for name in names
        )
    boot_splats = base.boot_splats if base and patched is None else ()
    if patched is not None:
        boot_splats = splatset.new_splats(known, patched.boot_splats)
    verdict, reasons = compare.judge(rows, boot_splats)
    if verdict is Verdict.PASS and patched is not None and not patched.outcomes:
        # It did not build, or ended before its tests, as the base did: alike, but nothing that was tested.
        verdict, reasons = Verdict.ERROR, ("no evidence: nothing ran on the patched kernel",)
    failures = tuple(f"{side}: {result.failure}" for side, result in results.items() if result.failure)
    numbers = {
        "boots": {side: result.boots for side, result in results.items()},
        "boot_seconds": {side: round(result.boot_seconds, 3) for side, result in results.items()},
    }
    return Cell(
        target=target,
        verdict=verdict,
        reasons=(*failures, *reasons),
        accelerator=accelerator,
        rows=rows,
        boot_splats=boot_splats,
        known=tuple(each for result in results.values() for each in result.known),
        facts={**facts, **numbers},
        notes=(*_notes(results), *_unasked(base, patched)),
        flavour=flavour,
    )


def sound(patched: SideResult) -> bool:
    """Whether the patched kernel gives no reason to ask the base."""
    return not patched.failure and compare.sound(patched.outcomes, patched.boot_splats)


def _notes(results: Mapping[str, SideResult]) -> tuple[str, ...]:
    """Each with its side; what holds for all of them once, without."""
    sides: dict[str, list[str]] = {}
    for side, result in results.items():
        for note in result.notes:
            sides.setdefault(note, []).append(side)
    return tuple(
        note if 1 < len(results) == len(named) else f"{side}: {note}"
        for note, named in sides.items()
        for side in (named[:1] if len(named) == len(results) else named)
    )


def _unasked(base: SideResult | None, patched: SideResult | None) -> tuple[str, ...]:
    """What is not known because the base was not asked."""
    skipped = [outcome for outcome in patched.outcomes if outcome.status is Status.SKIP] if patched else []
    if base is not None or not skipped:
        return ()
    return (f"skipped: {len(skipped)}; whether the base has what they need was not asked (--patched-first)",)


def _names(summaries: Mapping[str, str], results: Iterable[SideResult]) -> tuple[str, ...]:
    found = dict.fromkeys(summaries)
    for result in results:
        found.update(dict.fromkeys(outcome.scenario for outcome in result.outcomes))
    return tuple(found)


def _outcome(side: SideResult, name: str) -> Outcome:
    """What ``side`` says of the scenario: its own outcome, else what holds for all that it has none of."""
    own = next((outcome for outcome in side.outcomes if outcome.scenario == name), None)
    if own is not None:
        return own
    if side.otherwise is not None:
        return dataclasses.replace(side.otherwise, scenario=name)
    return Outcome(name, Status.SKIP, _UNKNOWN_TEST, 0.0)


def _all_splats(side: SideResult) -> tuple[Splat, ...]:
    return (*side.boot_splats, *(splat for outcome in side.outcomes for splat in outcome.splats))
