"""JUnit XML of a night: a suite for each cell. What was dropped, or is quarantined, is skipped and says why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Cell, CellState, Night
from harness.report import clean
from harness.report.nightly import facts
from harness.report.nightly.facts import Facts, Line

NAME = "junit"
HELP = "JUnit XML, for continuous integration"
CELL = "verdict"  # the case that stands for a whole cell


def render(history: History, night: Night) -> str:
    """See Form.render."""
    found = facts.of(history, night)
    xml: Any = JUnitXml(clean.line(f"kph {night.name}"))  # the library has types for some of its methods only
    for cell in found.cells:
        xml.add_testsuite(_suite(found, cell))
    xml.update_statistics()
    text: str = xml.tostring().decode("utf-8")
    return text.rstrip("\n") + "\n"


def _suite(found: Facts, cell: Cell) -> TestSuite:
    place = cell.place
    suite: Any = TestSuite(clean.line(_name(cell)))
    if cell.started:
        suite.timestamp = cell.started.partition("+")[0]
    for name, value in (
        ("tree", f"{facts.shown(cell.spec)} {cell.version} {cell.commit}"),
        ("series", place.series),
        ("accelerator", cell.accelerator),
        ("run", cell.folder),
        ("night", str(found.night.id)),
    ):
        suite.add_property(name, clean.line(value))
    for line in found.of(cell):
        suite.add_testcase(_case(line))
    suite.add_testcase(_whole(cell))
    return suite  # type: ignore[no-any-return]


def _name(cell: Cell) -> str:
    place = cell.place
    tree = f"{place.tree}+{place.series}" if place.series else place.tree
    return f"{place.suite}.{tree}.{place.target}.{place.flavour}"


def _case(line: Line) -> TestCase:
    result = line.result
    case = TestCase(clean.line(result.scenario), clean.line(_name(line.cell)))
    case.time = round(result.seconds, 3)
    found = _result(line)
    if found is not None:
        case.result = [found]
    story = "\n".join(clean.line(each) for each in _story(line))
    if story:
        case.system_out = story
    return case


def _result(line: Line) -> FinalResult | None:
    result = line.result
    reason = clean.line(result.reason) or result.status
    if result.status in BAD and result.quarantined:
        return Skipped(clean.line(f"quarantined: {result.quarantined}; {reason}"), "quarantined")
    if result.status in BAD:
        return Failure(reason, result.status)
    if result.status == "skip":
        return Skipped(reason, "skip")
    return None if result.status == "pass" else Error(reason, result.status or "none")


def _story(line: Line) -> Iterable[str]:
    result = line.result
    if result.status in BAD or line.trend is not line.trend.PASSING:
        yield f"over the nights: {line.trend}{f' since {line.since}' if line.since else ''}"
    if result.tries:
        yield f"tried again: {', '.join(result.tries)}"
    yield from result.splats
    if line.bisected and line.bisected.culprit:
        proof = "proved" if line.bisected.proved else "not proved"
        yield f"culprit: {line.bisected.culprit} {line.bisected.subject} ({proof})"
    if result.evidence and result.status != "pass":
        yield f"evidence: {result.evidence}"


def _whole(cell: Cell) -> TestCase:
    """Also of a cell without scenarios there must be a case, else nobody sees that it is missing."""
    case = TestCase(CELL, clean.line(_name(cell)))
    case.time = round(cell.seconds, 3)
    reason = clean.line(cell.reason) or str(cell.state)
    if cell.state is CellState.DROPPED:
        case.result = [Skipped(f"dropped: {reason}", "dropped")]
    elif cell.state not in (CellState.DONE, CellState.UNCHANGED):
        case.result = [Error(reason, str(cell.state))]
    elif cell.verdict == "fail":
        case.result = [Failure(reason, "fail")]
    elif cell.verdict != "pass":
        case.result = [Error(reason, cell.verdict or "none")]
    folder = f", run {Path(cell.folder).name}" if cell.folder else ""
    case.system_out = f"{cell.state}{folder}"
    return case
