"""Carrying out the steps of a scenario."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import Measured, StepResult
from harness.scenario import match, refs
from harness.scenario.expect import Expected, came, fields, met, refused
from harness.scenario.language import (
    CompareStep,
    ConsoleStep,
    DoStep,
    FaultStep,
    FinishStep,
    HardwareStep,
    MarkStep,
    ParallelStep,
    Plain,
    RepeatStep,
    StartStep,
    Step,
    TraceStep,
)
from harness.scenario.link import Clock, GuestLink, GuestTimeout
from harness.scenario.looking import Looker, LookStep
from harness.scenario.needs import lacking
from harness.scenario.schema import SuiteFile

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks when polling


class StepFailed(Exception):
    """A step did not go as expected; the text says which, what was expected and what came."""


class AgentRefused(Exception):
    """The agent did not understand a request: harness and agent do not fit each other."""


@dataclass(frozen=True)
class Limits:
    """How long things may take."""

    deadline: float  # seconds for one answer, when the step does not say
    total: float | None  # seconds for all steps together; None: no limit
    scale: float  # multiplies every one of them


@dataclass(frozen=True)
class _Started:
    """An operation that has been begun."""

    token: int  # the link's
    text: str  # the request in words


class StepRunner:
    """Carries out steps; ``results``, ``advice``, ``measured`` and what was saved grow as it goes."""

    def __init__(
        self,
        guest: GuestLink,
        clock: Clock,
        limits: Limits,
        behaviours: Mapping[str, Plain],
        begin: Any,
        suite: SuiteFile,
        values: Mapping[str, int] | None = None,
    ) -> None:
        """``begin`` is the guest's mark from which trace and console are read when a step names none.

        ``values`` are plain values that steps may refer to.
        """
        self._guest, self._clock, self._limits, self._behaviours = guest, clock, limits, behaviours
        self._suite = suite
        self._marks: dict[str, Any] = {"": begin}
        self._looker = Looker(guest, clock, limits.scale, suite, behaviours, self._marks)
        self._started: dict[str, _Started] = {}
        self._scope: dict[str, Any] = {"facts": guest.facts, **(values or {})}
        self._end = None if limits.total is None else clock.now() + limits.total * limits.scale
        self._quiet = 0  # depth of repeat blocks, of which only what matters is kept
        self.current: tuple[str, str] | None = None  # index and text of the step under way
        self.results: list[StepResult] = []
        self.advice: list[str] = []
        self.measured: list[Measured] = []

    def run(self, steps: Iterable[Step]) -> None:
        """All of ``steps``. Raises StepFailed, AgentRefused, GuestTimeout and GuestLost."""
        self._block(steps, "")
        self.current = None

    def interrupted(self, why: str) -> str:
        """The guest gave no answer: the step under way becomes a result. Returns the reason in one line."""
        if self.current is None:
            return why
        index, text = self.current
        self.results.append(StepResult(index, text, False, "an answer", why, 0.0))
        return f"step {index}, {text}: {why}"

    def value(self, reference: str) -> Any:
        """What ``reference`` stands for after the steps so far. Raises StepFailed."""
        return self._resolve(reference, "value")

    # --- blocks -----------------------------------------------------------------
    def _block(self, steps: Iterable[Step], prefix: str) -> None:
        for number, step in enumerate(steps, 1):
            if not self._applies(step):
                continue
            if self._end is not None and self._clock.now() > self._end:
                raise GuestTimeout(f"the scenario takes longer than {self._limits.total:.0f} s")
            self._one(step, f"{prefix}{number}")

    def _applies(self, step: Step) -> bool:
        if any(self._behaviours.get(name) != wanted for name, wanted in step.when.items()):
            return False
        return all(map(self._has, step.if_)) and not any(map(self._has, step.unless))

    def _has(self, capability: str) -> bool:
        return lacking(self._suite.capabilities[capability], self._guest.facts) is None

    def _one(self, step: Step, index: str) -> None:
        carriers: dict[type, Callable[[Any, str], None]] = {
            DoStep: self._do,
            StartStep: self._start,
            FinishStep: self._finish,
            ParallelStep: self._parallel,
            RepeatStep: self._repeat,
            MarkStep: self._mark,
            TraceStep: self._look,
            FaultStep: self._look,
            ConsoleStep: self._look,
            HardwareStep: self._look,
            CompareStep: self._look,
        }
        try:
            carriers[type(step)](step, index)
        except StepFailed as failed:
            if step.our_choice is None:
                raise
            self.advice.append(f"{step.our_choice} ({failed})")
            if self.results and not self.results[-1].ok:  # no failure, but the report shows what came
                self.results[-1] = dataclasses.replace(self.results[-1], ok=True)

    def _parallel(self, step: ParallelStep, index: str) -> None:
        begun = [
            (each, self._begin(each.do, each, f"{index}.{number}")) for number, each in enumerate(step.parallel, 1)
        ]
        failures = []
        for number, (each, started) in enumerate(begun, 1):
            try:
                self._collect(each, started, f"{index}.{number}")
            except StepFailed as failed:
                failures.append(failed)
        if failures:
            raise failures[0]

    def _repeat(self, step: RepeatStep, index: str) -> None:
        began = self._clock.now()
        times = self._resolve(step.repeat.times, index)
        outer = self._scope.get("i")
        self._quiet += 1
        try:
            for round_number in range(times):
                self._scope["i"] = round_number
                self._block(step.repeat.steps, f"{index}.{round_number + 1}.")
        finally:
            self._quiet -= 1
            self._scope["i"] = outer
        self._note(index, f"{times} times {len(step.repeat.steps)} steps", began)

    # --- single steps -------------------------------------------------------------
    def _do(self, step: DoStep, index: str) -> None:
        args, text = self._request(step.do, step, index)
        expected = self._expected(step, index)
        began = self._clock.now()
        end = began + (step.poll or 0.0) * self._limits.scale
        pause = _FIRST_PAUSE
        reply = self._guest.call(step.do, args, step.actor, self._deadline(step.deadline))
        while not met(expected, reply) and self._clock.now() < end and not reply.get("died"):
            self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            reply = self._guest.call(step.do, args, step.actor, self._deadline(step.deadline))
        self._judge(step, expected, reply, index, text, began)

    def _start(self, step: StartStep, index: str) -> None:
        began = self._clock.now()
        started = self._begin(step.start, step, index)
        self._started[step.token] = started
        self._note(index, f"start {started.text}", began)

    def _finish(self, step: FinishStep, index: str) -> None:
        self._collect(step, self._started[step.finish], index)

    def _begin(self, operation: str, step: DoStep | StartStep, index: str) -> _Started:
        args, text = self._request(operation, step, index)
        return _Started(self._guest.begin(operation, args, step.actor), text)

    def _collect(self, step: DoStep | FinishStep, started: _Started, index: str) -> None:
        self.current = (index, started.text)
        began = self._clock.now()
        expected = self._expected(step, index)
        reply = self._guest.finish(started.token, self._deadline(step.deadline))
        self._judge(step, expected, reply, index, started.text, began)

    def _mark(self, step: MarkStep, index: str) -> None:
        self._marks[step.mark] = self._guest.mark()

    def _look(self, step: LookStep, index: str) -> None:
        began = self._clock.now()
        seen = self._looker.look(step, lambda value: self._resolve(value, index))
        if not isinstance(step, FaultStep | ConsoleStep) and step.save is not None:
            self._scope[step.save] = seen.saved
        self._record(index, seen.text, seen.good, seen.wanted, seen.got, began)

    # --- common parts ---------------------------------------------------------------
    def _request(self, operation: str, step: DoStep | StartStep, index: str) -> tuple[dict[str, object], str]:
        args: dict[str, object] = {key: self._resolve(value, index) for key, value in step.args.items()}
        words = [operation, *(f"{key}={match.show(value)}" for key, value in args.items())]
        text = f"{step.actor}: {' '.join(words)}" if step.actor else " ".join(words)
        self.current = (index, text)
        return args, text

    def _expected(self, step: DoStep | FinishStep, index: str) -> Expected:
        return Expected(self._resolve(step.expect, index), step.fails, step.may_fail, step.died)

    def _deadline(self, own: float | None) -> float:
        return (own if own is not None else self._limits.deadline) * self._limits.scale

    def _resolve(self, value: Any, index: str) -> Any:
        try:
            return refs.resolve(value, self._scope)
        except refs.BadReference as error:
            raise StepFailed(f"step {index}: {error}") from error

    def _judge(
        self,
        step: DoStep | FinishStep,
        expected: Expected,
        reply: Mapping[str, Any],
        index: str,
        text: str,
        began: float,
    ) -> None:
        why = refused(reply)
        if why:
            raise AgentRefused(f"{text}: {why}")
        if step.save is not None:
            self._scope[step.save] = reply
        if step.report is not None:
            self.measured.append(Measured(step.report, fields(reply)))
        self._record(index, text, met(expected, reply), str(expected), came(reply), began)

    def _record(self, index: str, text: str, good: bool, expected: str, got: str, began: float) -> None:
        if not (good and self._quiet):
            spent = self._clock.now() - began
            self.results.append(StepResult(index, text, good, "" if good else expected, got, spent))
        if not good:
            raise StepFailed(f"step {index}, {text}: expected {expected}, got {got}")

    def _note(self, index: str, text: str, began: float) -> None:
        if not self._quiet:
            self.results.append(StepResult(index, text, True, "", "", self._clock.now() - began))
