"""Running one scenario on a guest."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import IommuFault, Outcome, Status
from harness.scenario import match
from harness.scenario.language import Plain
from harness.scenario.link import Clock, GuestLink, GuestLost, GuestTimeout
from harness.scenario.needs import expected, lacking, wrong_flavour
from harness.scenario.observe import iommu_faults
from harness.scenario.oracles import Oracles
from harness.scenario.schema import Capability, Scenario, Suite
from harness.scenario.steps import AgentRefused, Limits, StepFailed, StepRunner
from harness.scenario.tuning import Tuning


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
    measured: Mapping[str, Any] | None = None,
    tuning: Tuning | None = None,
) -> Outcome:
    """One scenario on one guest, cleaned up behind it.

    ``measured`` holds the oracles' values on this guest, which is set up already: see ``measure``.

    ``scale`` multiplies every deadline (a slow guest), ``behaviours`` is what the series is expected to do
    (default: the suite's defaults). CRASH and HANG mean that the guest is not to be used again. Raises what the
    link raises, other than GuestTimeout and GuestLost. ``tuning`` is what $seed and $stress stand for.
    """
    clock = clock or SystemClock()
    started = clock.now()
    chosen = behaviours_of(suite, behaviours, guest.facts)
    reason = why_skipped(scenario, suite, guest.facts, chosen)
    if reason:
        return Outcome(scenario.id, Status.SKIP, reason, clock.now() - started)
    tuning = tuning or Tuning()
    if scenario.uses("stress"):
        scale *= tuning.stress
    return _told(_OneRun(suite, guest, clock, scale, chosen, scenario, measured, tuning).outcome(), scenario, tuning)


def _told(outcome: Outcome, scenario: Scenario, tuning: Tuning) -> Outcome:
    """With the seed, where it had a part in a failure."""
    if outcome.status in (Status.PASS, Status.SKIP) or not scenario.uses("seed"):
        return outcome
    return dataclasses.replace(outcome, reason=f"{outcome.reason} (seed {tuning.seed})")


def measure(
    suite: Suite,
    guest: GuestLink,
    *,
    clock: Clock | None = None,
    scale: float = 1.0,
    behaviours: Mapping[str, Plain] | None = None,
) -> Mapping[str, Any]:
    """Set up a guest for the suite's scenarios; the values of its oracles then.

    For guests of which copies are made. Raises what the link and the steps raise.
    """
    run = _Run(suite, guest, clock or SystemClock(), scale, behaviours_of(suite, behaviours, guest.facts))
    run.set_up()
    return run.oracles().measure()


def behaviours_of(
    suite: Suite, behaviours: Mapping[str, Plain] | None, facts: Mapping[str, Any]
) -> Mapping[str, Plain]:
    """Every behaviour of the suite: as chosen in ``behaviours``, or else what is expected on a guest with ``facts``."""
    return {name: expected(each, facts) for name, each in suite.spec.behaviours.items()} | dict(behaviours or {})


def why_skipped(
    scenario: Scenario, suite: Suite, facts: Mapping[str, Any], behaviours: Mapping[str, Plain]
) -> str | None:
    """Why the scenario cannot tell anything on this guest, or None."""
    for name, wanted in scenario.spec.when.items():
        if behaviours.get(name) != wanted:
            return (
                f"for series with {name}={match.show(wanted)}; this one is run with {match.show(behaviours.get(name))}"
            )
    if reason := wrong_flavour(scenario.spec.flavours, facts):
        return reason
    needed: list[Capability] = [suite.spec.roles[role] for role in scenario.roles if role in suite.spec.roles]
    needed += [suite.spec.capabilities[name] for name in scenario.spec.requires]
    return next(filter(None, (lacking(capability, facts) for capability in needed)), None)


@dataclass
class _Run:
    suite: Suite
    guest: GuestLink
    clock: Clock
    scale: float
    behaviours: Mapping[str, Plain]

    def __post_init__(self) -> None:
        self._begin = self.guest.mark()

    def set_up(self) -> None:
        self.steps().run(self.suite.spec.setup)

    def oracles(self) -> Oracles:
        return Oracles(self.suite, self.guest, self.clock, self.scale, self.steps)

    def steps(self, limit: float | None = None) -> StepRunner:
        limits = Limits(self.suite.spec.defaults.deadline, limit, self.scale)
        return StepRunner(self.guest, self.clock, limits, self.behaviours, self._begin, self.suite.spec, self.values())

    def values(self) -> Mapping[str, int]:
        """What steps may refer to, beside what they save."""
        return Tuning().scope


@dataclass
class _OneRun(_Run):
    scenario: Scenario
    measured: Mapping[str, Any] | None
    tuning: Tuning
    began: bool = False  # the first step was reached

    def values(self) -> Mapping[str, int]:
        return self.tuning.scope

    def outcome(self) -> Outcome:
        started = self.clock.now()
        spec = self.scenario.spec
        steps = self.steps(spec.limit or self.suite.spec.defaults.limit)
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
            measured=tuple(steps.measured),
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
            before = self._prepare() if self.measured is None else self.measured
            self.began = True
            try:
                steps.run(self.scenario.spec.steps)
                wrong, reason = self.oracles().compare(before, self.scenario.spec.without, early=True)
                steps.results += wrong
                status = Status.FAIL if reason else Status.PASS
            except StepFailed as failed:
                status, reason = Status.FAIL, str(failed)
            try:
                self.steps().run(self.suite.spec.cleanup)
            except StepFailed as failed:
                return Status.HANG, f"{reason}; then " * bool(reason) + f"the clean-up failed: {failed}"
            leaks, leak = self.oracles().compare(before, self.scenario.spec.without)
            steps.results += leaks
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

    def _prepare(self) -> Mapping[str, Any]:
        """Set up; the oracles' values before the scenario."""
        self.set_up()
        return self.oracles().measure(self.scenario.spec.without)


def _unexpected(faults: tuple[IommuFault, ...]) -> str:
    first = faults[0]
    pasid = "" if first.pasid is None else f" with PASID {first.pasid}"
    return (
        f"{len(faults)} IOMMU faults that the scenario does not expect; first: device {first.device},"
        f" {'write' if first.write else 'read'} at {first.address:#x}{pasid}, reason {first.reason}"
    )
