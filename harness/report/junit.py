"""JUnit XML: for each target and flavour a suite of the scenarios on base and one on patched; the verdicts are last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness.model import Cell, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.report import View, clean, words

NAME = "junit"
HELP = "JUnit XML, for continuous integration"


def render(result: RunResult, view: View) -> str:
    """See Format.render. A scenario that is skipped or fails on the base does so in the suite of the base."""
    xml: Any = JUnitXml("kph")  # the library has types for some of its methods only
    for cell in result.cells:
        if words.compared(cell):
            xml.add_testsuite(_suite(result, cell, "base", [(row, row.base) for row in cell.rows]))
        if result.series is not None:
            xml.add_testsuite(_suite(result, cell, "patched", [(row, row.patched) for row in cell.rows]))
    xml.add_testsuite(_verdict(result))
    xml.update_statistics()
    text: str = xml.tostring().decode("utf-8")
    return text.rstrip("\n") + "\n"


def _suite(result: RunResult, cell: Cell, side: str, pairs: Iterable[tuple[Row, Outcome | None]]) -> TestSuite:
    suite = TestSuite(clean.line(f"{result.suite}.{cell.target}.{cell.flavour}.{side}"))
    for name, value in (
        ("tree", f"{result.tree.spec} {result.tree.version} {result.tree.commit}"),
        ("series", result.series.title if result.series and side == "patched" else ""),
        ("channel", result.channel),
        ("accelerator", cell.accelerator),
        ("run", str(result.run)),
    ):
        suite.add_property(name, clean.line(value))
    for row, outcome in pairs:
        suite.add_testcase(_case(row, outcome))
    return suite


def _case(row: Row, outcome: Outcome | None) -> TestCase:
    case = TestCase(clean.line(row.scenario), clean.line(f"{row.target}.{row.flavour}"))
    case.time = round(outcome.seconds, 3) if outcome else 0
    found = _result(outcome)
    if found is not None:
        case.result = [found]
    if outcome is not None:
        story = "\n".join(_story(outcome))
        if story:
            case.system_out = story
    return case


def _result(outcome: Outcome | None) -> FinalResult | None:
    if outcome is None:
        return Error("not run", "none")
    reason = clean.line(outcome.reason) or outcome.status.value
    if outcome.status is Status.SKIP:
        return Skipped(reason, "skip")
    if outcome.status is Status.ERROR:
        return Error(reason, "error")
    if outcome.status in words.BAD:
        return Failure(reason, outcome.status.value)
    if outcome.splats:
        return Failure(clean.line(", ".join(splat.title for splat in outcome.splats)), "splat")
    return None


def _story(outcome: Outcome) -> Iterable[str]:
    for step in outcome.steps:
        if not step.ok:
            yield clean.line(f"step {step.index}: {step.text}")
            yield clean.line(f"  expected {step.expected}")
            yield clean.line(f"  got      {step.got}")
    for splat in outcome.splats:
        yield from _told(splat)
    for known in outcome.known:
        yield clean.line(f"known: {words.of_known(known)}")
    if outcome.lacking:
        yield clean.line(f"fails, which shows the need: {outcome.lacking}")
    for each in outcome.measured:
        yield clean.line(f"measured: {words.measured(each)}")
    for advice in outcome.advice:
        yield clean.line(f"advice: {advice}")
    if outcome.evidence is not None:
        yield clean.line(f"evidence: {outcome.evidence}")


def _told(splat: Splat) -> Iterable[str]:
    yield clean.line(splat.title)
    yield from (clean.line("  " + line) for line in words.with_places(splat))


def _verdict(result: RunResult) -> TestSuite:
    """A case for each target and flavour, and with several one more for the run."""
    suite = TestSuite("verdict")
    for cell in result.cells:
        splats = "\n".join(line for splat in cell.boot_splats for line in _told(splat))
        text = words.verdict_of(cell, result)
        suite.add_testcase(_judged("verdict", f"{cell.target}.{cell.flavour}", cell.verdict, text, splats))
    if words.several(result):
        suite.add_testcase(_judged("run", result.suite, result.verdict, words.conclusion(result), ""))
    return suite


def _judged(name: str, group: str, verdict: Verdict, text: str, story: str) -> TestCase:
    case = TestCase(name, clean.line(group))
    conclusion = clean.line(text)
    if verdict is Verdict.FAIL:
        case.result = [Failure(conclusion, "fail")]
    elif verdict is Verdict.ERROR:
        case.result = [Error(conclusion, "error")]
    else:
        story = story or conclusion
    if story:
        case.system_out = story
    return case
