"""JUnit XML, read back with the library and with a plain XML parser."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml

from harness.report import render
from tests.unit import report_results as results

_CASES = {**results.CASES, "hostile": results.hostile, "hostile_targets": results.hostile_targets}


def _suites(text: str) -> dict[str, Any]:
    xml: Any = JUnitXml.fromstring(text.encode())
    return {suite.name: suite for suite in xml}


def _kinds(case: Any) -> list[str]:
    return [type(each).__name__ for each in case.result]


@pytest.mark.parametrize("case", _CASES)
def test_well_formed_with_right_sums(case: str) -> None:
    root = ElementTree.fromstring(render("junit", _CASES[case]()).encode())
    assert root.tag == "testsuites"
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(case.find(tag) is not None for case in cases)
    assert int(root.attrib["tests"]) == sum(int(suite.attrib["tests"]) for suite in root)


def test_base_and_patched_are_suites_of_their_own() -> None:
    suites = _suites(render("junit", results.failing()))
    assert list(suites) == ["sva.x86_64-vtd.base.base", "sva.x86_64-vtd.base.patched", "verdict"]
    base, patched = ({case.name: _kinds(case) for case in suite} for suite in list(suites.values())[:2])
    assert base["p01-own-bind"] == ["Skipped"] and patched["p01-own-bind"] == []
    assert base["g12-killed-while-bound"] == [] and patched["g12-killed-while-bound"] == ["Failure"]
    assert base["p16-error-paths"] == ["Error"] and patched["p16-error-paths"] == []
    assert len(base) == len(patched) == len(results.failing().rows)
    verdict = next(iter(suites["verdict"]))
    assert type(verdict.result[0]).__name__ == "Failure" and "2 scenarios regressed" in verdict.result[0].message


def test_a_base_that_was_not_asked_has_no_suite() -> None:
    assert list(_suites(render("junit", results.patched_alone()))) == ["sva.x86_64-vtd.base.patched", "verdict"]
    sides = ["x86_64-vtd.base.patched", "arm64-smmuv3.base.base", "arm64-smmuv3.base.patched"]
    assert list(_suites(render("junit", results.patched_first()))) == [*(f"sva.{side}" for side in sides), "verdict"]


def test_each_target_has_its_suites_and_its_verdict() -> None:
    suites = _suites(render("junit", results.targets_differ()))
    targets = ("x86_64-vtd", "arm64-smmuv3", "mine")
    sides = [f"sva.{target}.base.{side}" for target in targets for side in ("base", "patched")]
    assert list(suites) == [*sides, "verdict"]
    verdicts = [
        (case.name, case.classname, [type(each).__name__ for each in case.result]) for case in suites["verdict"]
    ]
    assert verdicts == [
        ("verdict", "x86_64-vtd.base", ["Failure"]),
        ("verdict", "arm64-smmuv3.base", ["Error"]),
        ("verdict", "mine.base", []),
        ("run", "sva", ["Failure"]),
    ]
    assert {case.classname for case in suites["sva.arm64-smmuv3.base.base"]} == {"arm64-smmuv3.base"}


def test_what_went_wrong_is_in_the_case() -> None:
    suite = _suites(render("junit", results.failing()))["sva.x86_64-vtd.base.patched"]
    cases = {case.name: case for case in suite}
    failed = cases["g02-same-device-again-gives-the-same-handle"]
    assert failed.result[0].type == "fail" and "ENOSPC" in failed.result[0].message
    assert "expected ret 0, handle 1" in failed.system_out and "evidence: /home/dev" in failed.system_out
    assert results.UAF.title in cases["g12-killed-while-bound"].system_out
    assert failed.time == 0.25 and failed.classname == "x86_64-vtd.base"


def test_a_failure_that_shows_the_need_says_so() -> None:
    suites = _suites(render("junit", results.motive()))
    case = next(case for case in suites["sva.x86_64-vtd.base.base"] if case.name == "motive-one-pasid")
    assert case.result[0].type == "fail" and f"which shows the need: {results.NO_API}" in case.system_out


def test_a_splat_fails_a_case_that_passed() -> None:
    suite = _suites(render("junit", results.tree_alone()))["sva.x86_64-vtd.base.base"]
    case = next(case for case in suite if case.name == "g12-killed-while-bound")
    assert case.result[0].type == "splat" and case.result[0].message == results.UAF.title


def test_no_evidence_is_an_error() -> None:
    verdict = next(iter(_suites(render("junit", results.no_evidence()))["verdict"]))
    assert type(verdict.result[0]).__name__ == "Error"


def test_hostile_text_stays_text() -> None:
    root = ElementTree.fromstring(render("junit", results.hostile()).encode())
    assert {child.tag for child in root} == {"testsuite"} and len(root) == 3
    message = next(iter(root.iter("failure"))).attrib["message"]
    assert "</failure>]]>&lt;\\u202e\\x00" in message and "\\x1b[2J" in message
