"""KTAP, read by the rules of Documentation/dev-tools/ktap.rst: version, plan, numbers, nesting, results."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from harness.model import Verdict
from harness.report import render, words
from tests.unit import report_results as results

_RESULT = re.compile(r"(?P<not>not )?ok (?P<number>\d+)(?: (?P<name>[^#]*?))?(?: # (?P<data>.*))?$")
_DIRECTIVE = re.compile(r"(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b ?(.*)")
_CASES = {**results.CASES, "hostile": results.hostile, "hostile_targets": results.hostile_targets}


@dataclass
class Test:
    """One test as a reader of KTAP sees it."""

    __test__ = False
    name: str
    ok: bool
    directive: str
    data: str
    notes: list[str]
    subtests: list[Test] = field(default_factory=list)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        assert self.lines.pop() == "", "the last line is not ended"

    def tests(self, level: int = 0) -> list[Test]:
        assert self.lines.pop(0) == "  " * level + "KTAP version 1"
        plan = re.fullmatch(rf"{'  ' * level}1\.\.(\d+)", self.lines.pop(0))
        assert plan is not None
        return [self.test(level, number) for number in range(1, int(plan[1]) + 1)]

    def test(self, level: int, number: int) -> Test:
        indent = "  " * level
        subtests = self.tests(level + 1) if self.lines[0] == indent + "  KTAP version 1" else []
        notes = []
        while self.lines[0].startswith(indent + "# "):
            notes.append(self.lines.pop(0)[len(indent) + 2 :])
        line = self.lines.pop(0)
        assert line.startswith(indent) and not line[len(indent) :].startswith(" "), line
        found = _RESULT.fullmatch(line[len(indent) :])
        assert found is not None and int(found["number"]) == number, line
        directive = _DIRECTIVE.match(found["data"] or "")
        word, data = (directive[1], directive[2]) if directive else ("", found["data"] or "")
        return Test(found["name"] or "", found["not"] is None, word, data, notes, subtests)


def read(text: str) -> dict[str, Test]:
    reader = _Reader(text)
    tests = reader.tests()
    assert reader.lines == [], "lines after the plan was met"
    return {test.name: test for test in tests}


@pytest.mark.parametrize("case", _CASES)
def test_it_is_ktap(case: str) -> None:
    result = _CASES[case]()
    tests = read(render("ktap", result))
    whole = [list(tests.values())] if len(result.cells) == 1 else [test.subtests for test in tests.values()][:-1]
    assert len(whole) == len(result.cells) and list(tests)[-1] == "verdict"
    for cell, parts in zip(result.cells, whole, strict=True):
        groups = ["base"] if result.series is None else ["base", "patched", "change"]
        groups = groups if words.compared(cell) else ["patched"]
        assert [test.name for test in parts] == [*groups, "verdict"]
        for part in parts[:-1]:
            assert len(part.subtests) == len(cell.rows)
            assert part.ok == all(test.ok or test.directive == "SKIP" for test in part.subtests)
        assert parts[-1].ok == (cell.verdict is Verdict.PASS)


def test_each_target_is_a_test() -> None:
    tests = read(render("ktap", results.targets_differ()))
    assert list(tests) == ["x86_64-vtd", "arm64-smmuv3", "mine", "verdict"]
    assert [test.ok for test in tests.values()] == [False, False, True, False]
    verdicts = {name: test.subtests[-1] for name, test in tests.items() if test.subtests}
    assert [verdicts[name].directive for name in ("x86_64-vtd", "arm64-smmuv3", "mine")] == ["", "ERROR", ""]
    assert verdicts["mine"].ok and not tests["verdict"].ok and tests["verdict"].directive == ""


def test_results_and_directives() -> None:
    tests = read(render("ktap", results.failing()))
    base, patched, change = (
        {test.name: test for test in tests[name].subtests} for name in ("base", "patched", "change")
    )
    skip = base["p01-own-bind"]
    assert (skip.ok, skip.directive, skip.data) == (True, "SKIP", results.NO_API)
    hang = patched["p09-other-pasid"]
    assert (hang.ok, hang.directive, hang.data) == (False, "TIMEOUT", "step 4 did not answer within 15 s")
    assert (base["p16-error-paths"].ok, base["p16-error-paths"].directive) == (False, "ERROR")
    crash = patched["g12-killed-while-bound"]
    assert not crash.ok and crash.data == "crash: kernel panic: Fatal exception" and results.UAF.title in crash.notes
    assert not change["g12-killed-while-bound"].ok and change["x02-mended"].ok
    assert change["x01-known-bug"].ok and not patched["x01-known-bug"].ok
    assert change["p16-error-paths"].directive == "ERROR"
    assert not tests["verdict"].ok and "2 scenarios regressed" in tests["verdict"].data


def test_a_failure_that_shows_the_need_says_so() -> None:
    base = {test.name: test for test in read(render("ktap", results.motive()))["base"].subtests}
    assert not base["motive-one-pasid"].ok
    assert f"fails, which shows the need: {results.NO_API}" in base["motive-one-pasid"].notes


def test_verdicts() -> None:
    assert read(render("ktap", results.passing()))["verdict"].ok
    error = read(render("ktap", results.no_evidence()))
    assert not error["verdict"].ok and error["verdict"].directive == "ERROR"
    assert error["base"].directive == "SKIP", "everything was skipped"


def test_a_splat_fails_a_scenario_that_passed() -> None:
    base = {test.name: test for test in read(render("ktap", results.tree_alone()))["base"].subtests}
    assert not base["g12-killed-while-bound"].ok


def test_hostile_text_forges_no_line() -> None:
    tests = read(render("ktap", results.hostile()))
    assert "ok 1 - fake" not in [test.name for test in tests.values()]
    assert all("_ ok 1 - fake" in test.name for test in tests["base"].subtests)
    assert render("ktap", results.hostile()).isprintable() is False  # ends of line, and nothing else
    assert all(line.isprintable() for line in render("ktap", results.hostile()).split("\n"))
