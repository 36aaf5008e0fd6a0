"""KTAP version 1 (Documentation/dev-tools/ktap.rst): base, patched and the change as three nested tests.

With several targets or flavours each is one test that has these in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model import Cell, Change, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.report import View, clean, words

NAME = "ktap"
HELP = "KTAP version 1, for the kernel's own tools"

_WORSE = (Change.REGRESSED, Change.NEW_FAILURE)


@dataclass(frozen=True)
class _Point:
    """One test case result line, with the diagnostic lines before it."""

    name: str
    ok: bool
    directive: str = ""  # SKIP, TIMEOUT or ERROR
    data: str = ""  # why, after the directive
    notes: tuple[str, ...] = ()
    subtests: tuple[_Point, ...] | None = None  # None: it is no parent


def render(result: RunResult, view: View) -> str:
    """See Format.render. The last test is the verdict; the subtests before it are what the series changed."""
    if not words.several(result):
        tests = _tests(result.cells[0], result)
    else:
        tests = tuple(_parent(cell.place, _tests(cell, result)) for cell in result.cells)
        tests = (*tests, _verdict("verdict", result.verdict, words.conclusion(result)))
    return "\n".join(("KTAP version 1", f"1..{len(tests)}", *_all(tests))) + "\n"


def _tests(cell: Cell, result: RunResult) -> tuple[_Point, ...]:
    tests = []
    if words.compared(cell):
        tests.append(_parent("base", [_point(row, row.base) for row in cell.rows]))
    if result.series is not None:
        tests.append(_parent("patched", [_point(row, row.patched) for row in cell.rows]))
    if result.series is not None and words.compared(cell):
        tests.append(_parent("change", [_change(row) for row in cell.rows]))
    notes = tuple(f"outside of any scenario: {splat.title}" for splat in cell.boot_splats)
    return (*tests, _verdict("verdict", cell.verdict, words.verdict_of(cell, result), notes))


def _parent(name: str, points: Sequence[_Point]) -> _Point:
    ran = [point for point in points if point.directive != "SKIP"]
    return _Point(
        name,
        all(point.ok for point in ran),
        "" if ran else "SKIP",
        "" if ran else "all skipped",
        subtests=tuple(points),
    )


def _all(points: Sequence[_Point]) -> Iterator[str]:
    for number, point in enumerate(points, 1):
        if point.subtests is not None:
            nested = ("KTAP version 1", f"1..{len(point.subtests)}", *_all(point.subtests))
            yield from ("  " + line for line in nested)
        yield from _lines(number, point)


def _lines(number: int, point: _Point) -> Iterator[str]:
    for note in point.notes:
        yield f"# {clean.line(note)}"
    words_after = " ".join(part for part in (point.directive, _data(point.data)) if part)
    tail = f" # {words_after}" if words_after else ""
    yield f"{'ok' if point.ok else 'not ok'} {number} {_description(point.name)}{tail}"


def _description(text: str) -> str:
    """A description is any string without "#" and without an end of line."""
    return clean.line(text).replace("#", "_").strip()


def _data(text: str) -> str:
    return clean.line(text).strip()


def _point(row: Row, outcome: Outcome | None) -> _Point:
    if outcome is None:
        return _Point(row.scenario, False, "ERROR", "not run")
    status, reason = outcome.status, outcome.reason
    shown = (f"fails, which shows the need: {outcome.lacking}",) if outcome.lacking else ()
    found = (f"measured: {words.measured(each)}" for each in outcome.measured)
    known = (f"known: {words.of_known(each)}" for each in outcome.known)
    notes = (*_failing(outcome), *(line for splat in outcome.splats for line in _splat(splat)), *known, *shown, *found)
    if status is Status.SKIP:
        return _Point(row.scenario, True, "SKIP", reason, notes)
    if status is Status.HANG:
        return _Point(row.scenario, False, "TIMEOUT", reason, notes)
    if status is Status.ERROR:
        return _Point(row.scenario, False, "ERROR", reason, notes)
    if status is Status.PASS:
        titles = ", ".join(splat.title for splat in outcome.splats)
        return _Point(row.scenario, not outcome.splats, "", titles, notes)
    return _Point(row.scenario, False, "", f"{status.value}: {reason}" if reason else status.value, notes)


def _splat(splat: Splat) -> Iterator[str]:
    yield splat.title
    yield from (f"  {line}" for line in words.own_places(splat))


def _failing(outcome: Outcome) -> Iterator[str]:
    for step in outcome.steps:
        if not step.ok:
            yield f"step {step.index}: {step.text}: expected {step.expected}, got {step.got}"


def _change(row: Row) -> _Point:
    notes = tuple(f"new splat: {splat.title}" for splat in row.new_splats)
    if row.change is Change.UNKNOWN:
        return _Point(row.scenario, False, "ERROR", words.why(row))
    if row.change in _WORSE:
        return _Point(row.scenario, False, "", f"{row.change.value}: {words.why(row)}", notes)
    return _Point(row.scenario, True, "", row.change.value)


def _verdict(name: str, verdict: Verdict, text: str, notes: tuple[str, ...] = ()) -> _Point:
    return _Point(name, verdict is Verdict.PASS, "ERROR" if verdict is Verdict.ERROR else "", text, notes)
