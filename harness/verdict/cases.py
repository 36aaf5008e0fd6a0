"""Tests that a kernel or its programs carry out themselves, as outcomes that compare like those of scenarios. Pure.

The ids are ``label`` for all the tests of one text and ``label/test`` for each of them; what is deeper, such as the
parameters of a KUnit case, is told as steps of its test.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.model import Outcome, Status, StepResult
from harness.verdict import ktap
from harness.verdict.ktap import Report, Test


def outcomes(label: str, report: Report, evidence: Path | None = None) -> tuple[Outcome, ...]:
    """The tests of one text that was found under the name ``label``: their whole first, then each."""
    whole = _whole(label, report)
    own = [_outcome(label, whole, (), evidence)]
    seen: Counter[str] = Counter()
    for test in whole.tests:
        seen[test.name] += 1
        name = test.name if seen[test.name] == 1 else f"{test.name}#{seen[test.name]}"
        own.append(_outcome(f"{label}/{name}", test, tuple(_steps(test)), evidence))
    return tuple(own)


def _whole(label: str, report: Report) -> Test:
    """The text as one test; when it has nothing in it but a test of the same name (as KUnit does), that test."""
    problems = report.problems
    if len(report.tests) == 1 and report.tests[0].name == label:
        only = report.tests[0]
        if not problems:
            return only
        reason = "; ".join((*problems, *filter(None, (only.reason,))))
        return dataclasses.replace(only, status=Status.FAIL, reason=reason)
    if problems:
        return Test(label, Status.FAIL, "; ".join(problems), tests=report.tests)
    if report.skipped is not None:
        return Test(label, Status.SKIP, report.skipped)
    bad = ktap.failed(report.tests)
    if bad:
        return Test(label, Status.FAIL, f"{len(bad)} of {len(report.tests)} tests failed", tests=report.tests)
    if all(test.status is Status.SKIP for test in report.tests):
        return Test(label, Status.SKIP, "every test was skipped", tests=report.tests)
    return Test(label, Status.PASS, "", tests=report.tests)


def _outcome(name: str, test: Test, steps: tuple[StepResult, ...], evidence: Path | None) -> Outcome:
    kept = evidence if test.status is Status.FAIL else None
    return Outcome(name, test.status, test.reason, 0.0, steps=steps, evidence=kept)


def _steps(test: Test) -> Iterable[StepResult]:
    """The subtests of ``test``, at every depth."""
    for number, (path, each) in enumerate(ktap.walk(test.tests), 1):
        ok = each.status is not Status.FAIL
        got = each.status.value + (f": {each.reason}" if each.reason else "")
        yield StepResult(str(number), "/".join(path), ok, "" if ok else "pass", got, 0.0)
