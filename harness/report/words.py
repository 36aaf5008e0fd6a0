"""What reports say in the same words: verdict, counts, reasons, skips."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model import Change, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.verdict import generic

BAD = (Status.CRASH, Status.HANG, Status.FAIL)
_WORST_FIRST = (
    Change.REGRESSED,
    Change.NEW_FAILURE,
    Change.UNKNOWN,
    Change.FIXED,
    Change.NEW_PASS,
    Change.UNCHANGED,
    Change.BASE_ONLY,
)
_STATUS = (Status.CRASH, Status.HANG, Status.FAIL, Status.ERROR, Status.SKIP, Status.PASS)
_TOP = 5  # functions of a splat that are shown


@dataclass(frozen=True)
class Skipped:
    """Scenarios that were skipped for one reason."""

    reason: str
    scenarios: tuple[str, ...]


def tested(row: Row) -> Outcome | None:
    """The outcome that the row is about: on the patched kernel, or on the base when there is no series."""
    return row.base if row.change is Change.BASE_ONLY else row.patched or row.base


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Worst first; equal ones keep their order."""
    return tuple(sorted(rows, key=_rank))


def _rank(row: Row) -> tuple[int, int]:
    outcome = tested(row)
    return _WORST_FIRST.index(row.change), _STATUS.index(outcome.status) if outcome else len(_STATUS)


def is_quiet(row: Row) -> bool:
    """Nobody needs to look at this row: passed before and after, or skipped before and after."""
    if row.change not in (Change.UNCHANGED, Change.BASE_ONLY):
        return False
    outcome = tested(row)
    return outcome is not None and outcome.status in (Status.PASS, Status.SKIP) and not splats(row)


def needs_detail(row: Row) -> bool:
    """Somebody has to act on this row."""
    if row.change in (Change.REGRESSED, Change.NEW_FAILURE, Change.UNKNOWN):
        return True
    outcome = tested(row)
    return row.change is Change.BASE_ONLY and outcome is not None and (outcome.status in BAD or bool(outcome.splats))


def alike(rows: Iterable[Row]) -> tuple[tuple[Row, ...], ...]:
    """Neighbours that went wrong in the same way, such as those that a kernel which does not boot never reached."""
    return tuple(tuple(group) for _, group in itertools.groupby(rows, _manner))


def _manner(row: Row) -> object:
    outcome = tested(row)
    if outcome is None or outcome.evidence is None or any(not step.ok for step in outcome.steps):
        return id(row)
    return row.change, row.base and row.base.status, outcome.status, outcome.reason, outcome.evidence, splats(row)


def splats(row: Row) -> tuple[Splat, ...]:
    """The splats that count against the row."""
    if row.change is Change.BASE_ONLY:
        return row.base.splats if row.base else ()
    return row.new_splats


def skips(outcomes: Iterable[Outcome | None]) -> tuple[Skipped, ...]:
    """Skipped scenarios by reason, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome is not None and outcome.status is Status.SKIP:
            groups.setdefault(outcome.reason or "no reason given", []).append(outcome.scenario)
    sizes = sorted(groups.items(), key=lambda group: -len(group[1]))
    return tuple(Skipped(reason, tuple(names)) for reason, names in sizes)


def why(row: Row) -> str:
    """The reason in one line: what the tested kernel did, else why the other side says nothing."""
    outcome = tested(row)
    if row.change is Change.UNKNOWN:
        sides = (("base", row.base), ("patched", row.patched))
        missing = [f"{side}: {_gap(one)}" for side, one in sides if one is None or one.status is Status.ERROR]
        return "; ".join(missing)
    if outcome is None:
        return ""
    titles = ", ".join(splat.title for splat in splats(row))
    if outcome.reason and titles and titles not in outcome.reason:
        return f"{outcome.reason}; {titles}"
    return outcome.reason or titles


def _gap(outcome: Outcome | None) -> str:
    return "not run" if outcome is None else outcome.reason or "error"


def trace(splat: Splat) -> str:
    """The top of the call trace, innermost first, without functions that only report."""
    frames = generic.own(splat.frames) or splat.frames
    return " < ".join(frames[:_TOP]) + (" < ..." if len(frames) > _TOP else "")


def counts(rows: Sequence[Row]) -> dict[Change, int]:
    """How many rows of each change, worst first, those that occur."""
    return {change: number for change in _WORST_FIRST if (number := sum(row.change is change for row in rows))}


def where(result: RunResult) -> str:
    """Target, kernel and suite, as in a sentence."""
    flavour = "" if result.flavour == "base" else f" ({result.flavour})"
    return f"{result.target}{flavour}, Linux {result.tree.version}, suite {result.suite}"


def conclusion(result: RunResult) -> str:
    """The verdict and why, for a mail."""
    what = "the series" if result.series else "the tree"
    if result.verdict is Verdict.PASS:
        return f"pass. {where(result)}: {_found(result)}."
    reasons = "; ".join(reason.split("\n")[0].rstrip(".") for reason in result.reasons) or "no reason given"
    if result.verdict is Verdict.FAIL:
        return f"fail. {where(result)}: {reasons}."
    return f"error. {where(result)}: {reasons}; so nothing can be said of {what}."


def _found(result: RunResult) -> str:
    skipped = sum(outcome is not None and outcome.status is Status.SKIP for outcome in map(tested, result.rows))
    tail = f" ({skipped} skipped)" if skipped else ""
    if result.series is None:
        passed = sum(outcome is not None and outcome.status is Status.PASS for outcome in map(tested, result.rows))
        return f"{passed} of {len(result.rows)} scenarios pass{tail}"
    parts = ", ".join(f"{number} {change.value}" for change, number in counts(result.rows).items())
    return f"the series makes nothing worse in {len(result.rows)} scenarios: {parts}{tail}"
