"""What reports say in the same words: verdict, counts, reasons, skips."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.model import Cell, Change, Known, Measured, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.verdict import generic, traces

BAD = (Status.CRASH, Status.HANG, Status.FAIL)
_WORST_FIRST = (
    Change.REGRESSED,
    Change.NEW_FAILURE,
    Change.UNKNOWN,
    Change.FIXED,
    Change.NEW_PASS,
    Change.UNCHANGED,
    Change.BASE_ONLY,
    Change.PATCHED_ONLY,
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
    return tuple(sorted(rows, key=rank))


def rank(row: Row) -> tuple[int, int]:
    """Small for what is bad."""
    outcome = tested(row)
    return _WORST_FIRST.index(row.change), _STATUS.index(outcome.status) if outcome else len(_STATUS)


def is_quiet(row: Row) -> bool:
    """Nobody needs to look at this row: passed before and after, or skipped before and after."""
    if row.change not in (Change.UNCHANGED, Change.BASE_ONLY, Change.PATCHED_ONLY):
        return False
    outcome = tested(row)
    return outcome is not None and outcome.status in (Status.PASS, Status.SKIP) and not splats(row)


def needs_detail(row: Row) -> bool:
    """Somebody has to act on this row."""
    if row.change in (Change.REGRESSED, Change.NEW_FAILURE, Change.UNKNOWN):
        return True
    outcome = tested(row)
    if row.change is not Change.BASE_ONLY or outcome is None:
        return False
    return bool(outcome.splats) or (outcome.status in BAD and not outcome.lacking)


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


def measured(each: Measured) -> str:
    """What a scenario found out, in one line."""
    return f"{each.what}: {', '.join(f'{name} {_plain(value)}' for name, value in each.values)}"


def _plain(value: str | int | bool) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


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
        gaps: dict[str, list[str]] = {}
        for side, one in (("base", row.base), ("patched", row.patched)):
            if one is None or one.status is Status.ERROR:
                gaps.setdefault(_gap(one), []).append(side)
        return "; ".join(f"{' and '.join(sides)}: {gap}" for gap, sides in gaps.items())
    if outcome is None:
        return ""
    titles = ", ".join(splat.title for splat in splats(row))
    if titles in outcome.reason:
        titles = ""
    return "; ".join(filter(None, (outcome.reason, titles, motive(row))))


def motive(row: Row) -> str:
    """Which failures of the row its scenario is there for, and what they lack; empty when there is none."""
    lacking: dict[str, list[str]] = {}
    for side, outcome in (("base", row.base), ("patched", row.patched)):
        if outcome is not None and outcome.lacking:
            lacking.setdefault(outcome.lacking, []).append(side)
    return "; ".join(f"fails on {' and '.join(sides)}, which shows the need: {what}" for what, sides in lacking.items())


def _gap(outcome: Outcome | None) -> str:
    return "not run" if outcome is None else outcome.reason or "error"


def trace(splat: Splat) -> str:
    """The top of the call trace, innermost first, without functions that only report."""
    frames = generic.own(splat.frames) or splat.frames
    return " < ".join(frames[:_TOP]) + (" < ..." if len(frames) > _TOP else "")


def own_places(splat: Splat) -> tuple[str, ...]:
    """Where the functions of ``trace`` are, one a line, those that were inlined too; empty without line numbers."""
    wanted = set((generic.own(splat.frames) or splat.frames)[:_TOP])
    lines: dict[str, list[str]] = {}
    for place in splat.places:
        lines.setdefault(place.frame, []).append(f"{place.function} {place.file}:{place.line}")
    shown = [frame for frame in lines if traces.plain(frame.partition("+")[0]) in wanted]
    return tuple(
        f"{line}{' (inlined)' * (number < len(lines[frame]))}"
        for frame in shown[:_TOP]
        for number, line in enumerate(lines[frame], 1)
    )


def with_places(splat: Splat) -> tuple[str, ...]:
    """The console's lines of a splat, each frame with its file and line."""
    places: dict[str, list[str]] = {}
    for place in splat.places:
        places.setdefault(place.frame, []).append(f"{place.function} at {place.file}:{place.line}")
    return tuple(_with(line, places) for line in splat.text)


def _with(line: str, places: Mapping[str, Sequence[str]]) -> str:
    spots = traces.spots((line,))
    found = places.get(spots[0].text, ()) if spots else ()
    return f"{line}  <{' < '.join(found)}>" if found else line


def of_known(known: Known) -> str:
    """A splat that does not count, and why."""
    link = f" ({known.pattern.link})" if known.pattern.link else ""
    return f"{known.splat.title}: {known.pattern.reason}{link}"


def compared(cell: Cell) -> bool:
    """Whether the base was tested, too."""
    return any(row.change is not Change.PATCHED_ONLY for row in cell.rows)


def counts(rows: Sequence[Row]) -> dict[Change, int]:
    """How many rows of each change, worst first, those that occur."""
    return {change: number for change in _WORST_FIRST if (number := sum(row.change is change for row in rows))}


def where(result: RunResult) -> str:
    """Targets, kernel and suite, as in a sentence."""
    return f"{places(result)}, Linux {result.tree.version}, suite {result.suite}"


def places(result: RunResult) -> str:
    """The targets with their flavours: "a", "a and a (kasan)", "a, b and c"."""
    return listed([cell.place for cell in result.cells])


def listed(names: Sequence[str]) -> str:
    """As "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def several(result: RunResult) -> bool:
    """Whether the run has more than one target or flavour, so that each thing needs its place."""
    return len(result.cells) > 1


def conclusion(result: RunResult) -> str:
    """The verdict and why, for a mail."""
    if result.verdict is Verdict.PASS:
        found = [_found(cell, result.series is not None) for cell in result.cells]
        if several(result):
            found = [f"{cell.place}: {text}" for cell, text in zip(result.cells, found, strict=True)]
        return f"pass. {where(result)}: {'; '.join(found)}."
    reasons = "; ".join(reason.split("\n")[0].rstrip(".") for reason in result.reasons) or "no reason given"
    silent = [cell.place for cell in result.cells if cell.verdict is Verdict.ERROR]
    gap = f"so nothing can be said of {'the series' if result.series else 'the tree'}"
    if silent and several(result):
        gap += f" on {listed(silent)}"
    return f"{result.verdict.value}. {where(result)}: {reasons}{f'; {gap}' if silent else ''}."


def verdict_of(cell: Cell, result: RunResult) -> str:
    """The verdict of one cell, as if the run had no other."""
    alone = dataclasses.replace(result, verdict=cell.verdict, reasons=cell.reasons, cells=(cell,))
    return conclusion(alone)


def _found(cell: Cell, series: bool) -> str:
    outcomes = [tested(row) for row in cell.rows]
    skipped = sum(outcome is not None and outcome.status is Status.SKIP for outcome in outcomes)
    shown = sum(outcome is not None and bool(outcome.lacking) for outcome in outcomes)
    notes = [f"{skipped} skipped"] if skipped else []
    notes += [f"{shown} failed, which shows the need"] if shown else []
    tail = f" ({', '.join(notes)})" if notes else ""
    passed = sum(outcome is not None and outcome.status is Status.PASS for outcome in outcomes)
    if not series:
        return f"{passed} of {len(cell.rows)} scenarios pass{tail}"
    if cell.rows and not compared(cell):
        told = f"{passed} of {len(cell.rows)} scenarios pass with the series"
        return f"{told}{tail}; none fails, so the base was not tested"
    parts = ", ".join(f"{number} {change.value}" for change, number in counts(cell.rows).items())
    return f"the series makes nothing worse in {len(cell.rows)} scenarios: {parts}{tail}"
