"""The report as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import stats, words
from benchmarks.model import CaseResult, Measure, Report

_HEAD = ("what", "who", "median", "min", "max", "runs", "limit", "holds")


def render(report: Report) -> str:
    """The whole page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Measured by `make bench` in one run that began {report.began}, {report.runs} times each or as `runs` says."
    yield "What is compared takes turns. A ratio is the first through the second, of runs next to each other."
    yield ""
    yield from _rows(("machine", ""), tuple(report.machine.items()))
    for case in sorted(report.cases, key=lambda each: each.key):
        yield ""
        yield f"## ({case.key}) {case.title}"
        yield ""
        yield from _case(case)


def _case(case: CaseResult) -> Iterator[str]:
    yield from _rows(_HEAD, tuple(_row(measure) for measure in case.measures))
    yield ""
    for measure in case.measures:
        if measure.failure:
            yield f"- **{measure.what}, {measure.who}**: {words.cell(measure.failure)}"
        if measure.note:
            yield f"- {measure.what}, {measure.who}: {words.cell(measure.note)}"
    if case.failure:
        yield f"- **This case ended early**: {words.cell(case.failure)}"
    before, after = case.load
    yield f"- It took {case.seconds:.0f} s; load {before:.1f} before, {after:.1f} after."


def _row(measure: Measure) -> tuple[str, ...]:
    found = stats.summary(measure.values)
    limit = words.limit(measure.limit, measure.unit)
    if found is None:
        return (measure.what, measure.who, "not measured", "", "", "0", limit, "?" if limit else "")
    holds = "" if measure.limit is None else "yes" if measure.limit.holds(found.median) else "**no**"
    spread = (found.low, found.high) if found.runs > 1 else ()
    shown = [words.number(value, measure.unit) for value in (found.median, *spread)]
    shown += [""] * (3 - len(shown))
    return (measure.what, measure.who, *shown, str(found.runs), limit, holds)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(words.cell(each) for each in row)} |"
