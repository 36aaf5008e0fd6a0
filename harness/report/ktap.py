"""KTAP version 1 (Documentation/dev-tools/ktap.rst): base, patched and the change as three nested tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model import Change, Outcome, Row, RunResult, Status, Verdict
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


def render(result: RunResult, view: View) -> str:
    """See Format.render. The last test is the verdict; its subtests are what the series changed."""
    tests = [("base", [_point(row, row.base) for row in result.rows])]
    if result.series is not None:
        tests.append(("patched", [_point(row, row.patched) for row in result.rows]))
        tests.append(("change", [_change(row) for row in result.rows]))
    lines = ["KTAP version 1", f"1..{len(tests) + 1}"]
    for number, (name, points) in enumerate(tests, 1):
        lines += _nested(number, name, points)
    lines += _lines(len(tests) + 1, _verdict(result))
    return "\n".join(lines) + "\n"


def _nested(number: int, name: str, points: Sequence[_Point]) -> Iterator[str]:
    yield "  KTAP version 1"
    yield f"  1..{len(points)}"
    for place, point in enumerate(points, 1):
        yield from ("  " + line for line in _lines(place, point))
    ran = [point for point in points if point.directive != "SKIP"]
    whole = _Point(name, all(point.ok for point in ran), "" if ran else "SKIP", "" if ran else "all skipped")
    yield from _lines(number, whole)


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
    notes = (*_failing(outcome), *(splat.title for splat in outcome.splats))
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


def _verdict(result: RunResult) -> _Point:
    notes = tuple(f"outside of any scenario: {splat.title}" for splat in result.boot_splats)
    directive = "ERROR" if result.verdict is Verdict.ERROR else ""
    return _Point("verdict", result.verdict is Verdict.PASS, directive, words.conclusion(result), notes)
