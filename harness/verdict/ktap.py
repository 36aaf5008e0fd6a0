"""KTAP as a test printed it, version 1 and TAP 13 and 14 (Documentation/dev-tools/ktap.rst), as a tree of tests.

A parser reads what is there and says what is wrong with it. Nothing is a pass that was not said: a plan that is not
met, a parent that says "ok" although a subtest failed, and subtests without their parent's result line are failures.
Lines that are none of KTAP's own are kept as notes of the next result, as the document asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.model import Status

_VERSION = re.compile(r"^(?:KTAP version 1|TAP version 1[34])\s*$")
_PLAN = re.compile(r"^1\.\.(\d+)(?:\s+#\s*(?:SKIP\b)?\s*(.*))?\s*$")
_RESULT = re.compile(r"^(ok|not ok)\s+(\d+)(?:\s+(?:-\s+)?([^#]*))?(?:#\s*(.*))?$")
_DIRECTIVE = re.compile(r"^(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b:?\s*(.*)$", re.IGNORECASE)
_SUBTEST = re.compile(r"^#\s*Subtest:\s*(.*\S)\s*$")
_BAIL = re.compile(r"^Bail out!\s*(.*)$")
_NOTES = 50  # lines kept of one test
_TOLD = 4  # of them in the reason of a failure that has no other
_NO_NAME = "(no name)"


@dataclass(frozen=True)
class Test:
    """One test and what it consists of."""

    name: str
    status: Status  # pass, fail or skip
    reason: str  # one line; empty for a plain pass
    notes: tuple[str, ...] = ()  # diagnostic and unknown lines before its result, bounded
    tests: tuple[Test, ...] = ()  # subtests in order
    problems: tuple[str, ...] = ()  # what is wrong with its frame: plan, numbers, result


@dataclass(frozen=True)
class Report:
    """One text."""

    tests: tuple[Test, ...]
    problems: tuple[str, ...]  # what is wrong with the outermost frame
    skipped: str | None = None  # why it has no tests, when its plan says that there are none


def parse(text: str) -> Report:
    """Every test in ``text``. No text is refused: what is missing is among the problems."""
    reader = _Reader()
    for number, line in enumerate(text.replace("\r", "").split("\n"), 1):
        reader.line(number, line)
    return reader.end()


def failed(tests: Iterable[Test]) -> tuple[str, ...]:
    """Names of those that failed."""
    return tuple(test.name for test in tests if test.status is Status.FAIL)


@dataclass
class _Frame:
    """A version line and what follows it at the same indentation."""

    indent: int
    versions: int = 0  # version lines
    name: str = ""  # from a "# Subtest:" line
    plan: int | None = None
    skipped: str | None = None  # reason of a plan of none
    tests: list[Test] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # since the last result
    problems: list[str] = field(default_factory=list)
    inner: _Frame | None = None  # ended subtests that wait for their parent's result line

    def ended(self) -> _Frame:
        """Say what is missing at its end."""
        if self.inner is not None:
            self.tests.append(_orphan(self.inner))
            self.inner = None
        if self.plan is not None and self.plan != len(self.tests):
            self.problems.append(f"the plan says {self.plan} tests, {len(self.tests)} have a result")
        if self.plan is None and not self.tests:
            self.problems.append("there is neither a plan nor a result")
        return self


class _Reader:
    def __init__(self) -> None:
        self._frames = [_Frame(0)]  # outermost first
        self._begun = False  # a version line was seen
        self._before: list[_Frame] = []  # outermost frames that another one followed

    def line(self, number: int, line: str) -> None:
        body = line.lstrip(" \t")
        indent = len(line) - len(body)
        if _VERSION.match(body):
            self._version(indent)
        elif match := _SUBTEST.match(body):
            self._subtest(indent, match[1])
        elif match := _PLAN.match(body):
            self._plan(indent, number, int(match[1]), match[2])
        elif match := _RESULT.match(body):
            self._result(indent, number, match)
        elif match := _BAIL.match(body):
            self._frames[-1].problems.append(f"line {number}: bailed out{': ' + match[1] if match[1] else ''}")
        elif body.strip() and len(self._frames[-1].notes) < _NOTES:
            self._frames[-1].notes.append(body.removeprefix("#").strip())

    def end(self) -> Report:
        self._close_above(0)
        frames = [*self._before, self._frames[0].ended()]
        problems = [problem for frame in frames for problem in frame.problems]
        if not self._begun:
            problems.insert(0, "there is no version line")
        tests = tuple(test for frame in frames for test in frame.tests)
        skipped = next((frame.skipped for frame in frames if frame.skipped is not None and not tests), None)
        return Report(tests, tuple(problems), skipped)

    # --- one kind of line each ----------------------------------------------------
    def _version(self, indent: int) -> None:
        """A frame begins; at the level of a frame that has something, the frames before it end."""
        self._begun = True
        self._close_above(indent)
        frame = self._frames[-1]
        fresh = frame.plan is None and not frame.tests and frame.inner is None
        if frame.indent == indent and fresh and not frame.versions:
            frame.versions = 1  # the outermost frame, or one that a "# Subtest:" line opened
        elif frame.indent == indent and len(self._frames) > 1:
            self._close()  # its result line is missing
            self._frames.append(_Frame(indent, versions=1))
        elif frame.indent == indent:
            self._before.append(self._frames.pop().ended())  # one text after another
            self._frames.append(_Frame(indent, versions=1))
        else:
            self._frames.append(_Frame(indent, versions=1))

    def _subtest(self, indent: int, name: str) -> None:
        self._close_above(indent)
        if indent > self._frames[-1].indent:
            self._frames.append(_Frame(indent))
        self._frames[-1].name = self._frames[-1].name or name

    def _plan(self, indent: int, number: int, count: int, reason: str | None) -> None:
        frame = self._frame(indent)
        if frame.plan is not None:
            frame.problems.append(f"line {number}: a second plan")
            return
        frame.plan = count
        if not count:
            frame.skipped = reason or "the plan has no tests"

    def _result(self, indent: int, number: int, match: re.Match[str]) -> None:
        frame = self._frame(indent)
        wanted = len(frame.tests) + 1
        if int(match[2]) != wanted:
            frame.problems.append(f"line {number}: result {match[2]} where {wanted} was expected")
        inner, frame.inner = frame.inner, None
        frame.tests.append(_test(match[1] == "ok", (match[3] or "").strip(), (match[4] or "").strip(), inner, frame))
        frame.notes = []

    # --- frames -------------------------------------------------------------------
    def _frame(self, indent: int) -> _Frame:
        """The frame of a plan or result at ``indent``: a new one when it is deeper (TAP has no version there)."""
        self._close_above(indent)
        if indent > self._frames[-1].indent:
            self._frames.append(_Frame(indent))
        return self._frames[-1]

    def _close_above(self, indent: int) -> None:
        while self._frames[-1].indent > indent:
            self._close()

    def _close(self) -> None:
        frame = self._frames.pop().ended()
        outer = self._frames[-1]
        if outer.inner is not None:
            outer.tests.append(_orphan(outer.inner))
        outer.inner = frame


def _test(ok: bool, name: str, rest: str, inner: _Frame | None, frame: _Frame) -> Test:
    directive, data = "", rest
    if match := _DIRECTIVE.match(rest):
        directive, data = match[1].upper(), match[2].strip()
    tests = tuple(inner.tests) if inner else ()
    problems = list(inner.problems) if inner else []
    name = name or (inner.name if inner else "") or _NO_NAME
    notes = (*(inner.notes if inner else ()), *frame.notes)
    status, reason = _status(ok, directive, data)
    bad = failed(tests)
    if bad and status is Status.PASS:
        problems.append(f"it says ok although {_named(bad)} failed")
    if inner and inner.skipped is not None and status is Status.PASS:
        status, reason = Status.SKIP, inner.skipped
    if status is Status.SKIP and tests and not data:
        reason = tests[0].reason or reason
    if problems:
        status, reason = Status.FAIL, "; ".join((*problems, *filter(None, (reason,))))
    elif status is Status.FAIL and not reason:
        reason = f"{_named(bad)} failed" if bad else " ".join(notes[:_TOLD]) or "not ok"
    return Test(name, status, reason, notes[-_NOTES:], tests, tuple(problems))


def _status(ok: bool, directive: str, data: str) -> tuple[Status, str]:
    """Status and reason by the result line alone."""
    if directive == "SKIP":
        return Status.SKIP, data or "skipped"
    if directive in ("TIMEOUT", "ERROR"):
        word = "timed out" if directive == "TIMEOUT" else "error"
        return Status.FAIL, f"{word}: {data}" if data else word
    if directive in ("TODO", "XFAIL") and not ok:
        return Status.SKIP, f"fails, as is expected of it ({directive}){': ' + data if data else ''}"
    return (Status.PASS, "") if ok else (Status.FAIL, data)


def _orphan(frame: _Frame) -> Test:
    """Subtests whose parent has no result line."""
    problems = ("it has no result", *frame.problems)
    return Test(
        frame.name or _NO_NAME,
        Status.FAIL,
        "; ".join(problems),
        tuple(frame.notes),
        tuple(frame.tests),
        problems,
    )


def _named(names: tuple[str, ...], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def walk(tests: Iterable[Test], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Test]]:
    """Every test below ``tests`` with the names that lead to it, parents first."""
    for test in tests:
        yield (*path, test.name), test
        yield from walk(test.tests, (*path, test.name))
