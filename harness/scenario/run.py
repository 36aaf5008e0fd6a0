"""Running one scenario on a guest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import IommuFault, Outcome, Status, StepResult
from harness.scenario import match, refs
from harness.scenario.language import Plain, Step
from harness.scenario.link import Clock, GuestLink, GuestLost, GuestTimeout
from harness.scenario.needs import lacking
from harness.scenario.observe import iommu_faults
from harness.scenario.schema import Capability, Oracle, Scenario, Suite
from harness.scenario.steps import AgentRefused, Limits, StepFailed, StepRunner


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def run_scenario(
    scenario: Scenario,
    suite: Suite,
    guest: GuestLink,
    *,
    clock: Clock | None = None,
    scale: float = 1.0,
    behaviours: Mapping[str, Plain] | None = None,
    measured: dict[str, Any] | None = None,
) -> Outcome:
    """One scenario on one guest, cleaned up behind it.

    ``measured`` holds the oracles' values that the scenario before this one left on the same guest: they need not be
    measured again, and what that one leaked is not blamed on this one. It is brought up to date.

    ``scale`` multiplies every deadline (a slow guest), ``behaviours`` is what the series is expected to do
    (default: the suite's defaults). CRASH and HANG mean that the guest is not to be used again. Raises what the
    link raises, other than GuestTimeout and GuestLost.
    """
    clock = clock or SystemClock()
    started = clock.now()
    chosen = {name: each.default for name, each in suite.spec.behaviours.items()} | dict(behaviours or {})
    reason = why_skipped(scenario, suite, guest.facts, chosen)
    if reason:
        return Outcome(scenario.id, Status.SKIP, reason, clock.now() - started)
    known = measured if measured is not None else {}
    return _Run(scenario, suite, guest, clock, scale, chosen, known).outcome()


def why_skipped(
    scenario: Scenario, suite: Suite, facts: Mapping[str, Any], behaviours: Mapping[str, Plain]
) -> str | None:
    """Why the scenario cannot tell anything on this guest, or None."""
    for name, wanted in scenario.spec.when.items():
        if behaviours.get(name) != wanted:
            return (
                f"for series with {name}={match.show(wanted)}; this one is run with {match.show(behaviours.get(name))}"
            )
    needed: list[Capability] = [suite.spec.roles[role] for role in scenario.roles if role in suite.spec.roles]
    needed += [suite.spec.capabilities[name] for name in scenario.spec.requires]
    return next(filter(None, (lacking(capability, facts) for capability in needed)), None)


@dataclass
class _Run:
    scenario: Scenario
    suite: Suite
    guest: GuestLink
    clock: Clock
    scale: float
    behaviours: Mapping[str, Plain]
    measured: dict[str, Any]
    began: bool = False  # the first step was reached

    def outcome(self) -> Outcome:
        started = self.clock.now()
        spec = self.scenario.spec
        self._begin = self.guest.mark()
        steps = self._steps(spec.limit or self.suite.spec.defaults.limit)
        status, reason = self._carry_out(steps)
        faults: tuple[IommuFault, ...] = ()
        if status in (Status.PASS, Status.FAIL):
            faults = iommu_faults(self.suite.spec.faults, self.guest.trace(self._begin))
            if faults and spec.faults == "none" and status is Status.PASS:
                status, reason = Status.FAIL, _unexpected(faults)
        advice = list(steps.advice)
        if status is Status.FAIL and spec.our_choice and self.began:
            status, reason, advice = Status.PASS, "", [*advice, f"{spec.our_choice}: {reason}"]
        return Outcome(
            self.scenario.id,
            status,
            reason,
            self.clock.now() - started,
            steps=tuple(steps.results),
            faults=faults,
            advice=tuple(advice),
            began=self.began,
            lacking=self._lacking() if status is Status.FAIL and self.began else "",
        )

    def _lacking(self) -> str:
        """What the guest lacks of what the scenario motivates."""
        name = self.scenario.spec.motivates
        return (lacking(self.suite.spec.capabilities[name], self.guest.facts) or "") if name else ""

    def _carry_out(self, steps: StepRunner) -> tuple[Status, str]:
        """Set up, measure, run, clean up, measure again."""
        status, reason = Status.PASS, ""
        try:
            before = self._prepare()
            self.began = True
            try:
                steps.run(self.scenario.spec.steps)
            except StepFailed as failed:
                status, reason = Status.FAIL, str(failed)
            try:
                self._steps().run(self.suite.spec.cleanup)
            except StepFailed as failed:
                return Status.HANG, f"{reason}; then " * bool(reason) + f"the clean-up failed: {failed}"
            leak = self._compare(before, steps)
            if leak and status is Status.PASS:
                status, reason = Status.FAIL, leak
        except StepFailed as failed:
            return Status.FAIL, f"before the first step: {failed}"
        except GuestTimeout as late:
            return Status.HANG, steps.interrupted(str(late))
        except GuestLost as lost:
            return Status.CRASH, steps.interrupted(str(lost))
        except AgentRefused as refused:
            return Status.ERROR, f"the agent does not understand {refused}"
        return status, reason

    def _steps(self, limit: float | None = None) -> StepRunner:
        limits = Limits(self.suite.spec.defaults.deadline, limit, self.scale)
        return StepRunner(self.guest, self.clock, limits, self.behaviours, self._begin, self.suite.spec)

    def _prepare(self) -> dict[str, Any]:
        """Set up; the oracles' values before the scenario."""
        self._steps().run(self.suite.spec.setup)
        for name, oracle in self._oracles().items():
            if name not in self.measured:
                self.measured[name] = self._measure(oracle)
        return dict(self.measured)

    def _oracles(self) -> dict[str, Oracle]:
        capabilities = self.suite.spec.capabilities
        return {
            name: oracle
            for name, oracle in self.suite.spec.oracles.items()
            if name not in self.scenario.spec.without
            and not any(lacking(capabilities[needed], self.guest.facts) for needed in oracle.requires)
        }

    def _measure(self, oracle: Oracle) -> Any:
        runner = self._steps()
        runner.run(oracle.steps)
        return runner.value(oracle.value)

    def _compare(self, before: Mapping[str, Any], steps: StepRunner) -> str:
        """The first thing that did not come back, or empty; every one is a step result."""
        for name in self.scenario.spec.without:
            self.measured.pop(name, None)  # it may have changed, and that is nobody's fault
        started, pause = self.clock.now(), 0.0  # the first time, what the retry does is wait enough
        waiting = self._oracles()
        leaks: list[str] = []
        while True:
            waiting = {name: oracle for name, oracle in waiting.items() if not self._came_back(name, oracle, before)}
            spent = self.clock.now() - started
            late = [name for name, oracle in waiting.items() if spent >= oracle.poll * self.scale]
            leaks += [self._leak(name, waiting.pop(name), before[name], steps, spent) for name in late]
            if not waiting:
                return leaks[0] if leaks else ""
            self.clock.sleep(pause)
            pause = min(2 * pause + 0.05, 1.0)
            self._again(waiting.values())

    def _came_back(self, name: str, oracle: Oracle, before: Mapping[str, Any]) -> bool:
        self.measured[name] = self._measure(oracle)
        return match.holds(self._must(oracle, before[name]), self.measured[name])

    def _must(self, oracle: Oracle, before: Any) -> Any:
        return refs.resolve(oracle.must, {"before": before, "facts": self.guest.facts})

    def _again(self, oracles: Iterable[Oracle]) -> None:
        """What the oracles want done before they look again, each thing once."""
        done: list[tuple[Step, ...]] = []
        for oracle in oracles:
            if oracle.retry not in done:
                done.append(oracle.retry)
                self._steps().run(oracle.retry)

    def _leak(self, name: str, oracle: Oracle, before: Any, steps: StepRunner, spent: float) -> str:
        expected = f"{match.describe(self._must(oracle, before))} (before: {match.show(before)})"
        got = match.show(self.measured[name])
        steps.results.append(StepResult(f"oracle {name}", oracle.about, False, expected, got, spent))
        return f"{oracle.leak}: {oracle.about}: expected {expected}, got {got}"


def _unexpected(faults: tuple[IommuFault, ...]) -> str:
    first = faults[0]
    pasid = "" if first.pasid is None else f" with PASID {first.pasid}"
    return (
        f"{len(faults)} IOMMU faults that the scenario does not expect; first: device {first.device},"
        f" {'write' if first.write else 'read'} at {first.address:#x}{pasid}, reason {first.reason}"
    )
