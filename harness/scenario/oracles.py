"""The suite's oracles on one guest: values that a scenario must leave as it found them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.model import StepResult
from harness.scenario import match, refs
from harness.scenario.language import Step
from harness.scenario.link import Clock, GuestLink
from harness.scenario.needs import lacking
from harness.scenario.schema import Oracle, Suite
from harness.scenario.steps import StepRunner


class Oracles:
    """Those that apply to the guest, but for the ones that a scenario goes ``without``."""

    def __init__(
        self, suite: Suite, guest: GuestLink, clock: Clock, scale: float, steps: Callable[[], StepRunner]
    ) -> None:
        """``steps`` makes what carries out an oracle's steps; ``scale`` multiplies how long a value may take."""
        self._suite, self._guest, self._clock, self._scale, self._steps = suite, guest, clock, scale, steps
        self._got: dict[str, Any] = {}  # the last value of each

    def measure(self, without: Iterable[str] = ()) -> Mapping[str, Any]:
        """Name -> value now. Raises what steps raise."""
        return {name: self._measure(oracle) for name, oracle in self._apply(without).items()}

    def compare(
        self, before: Mapping[str, Any], without: Iterable[str], early: bool = False
    ) -> tuple[tuple[StepResult, ...], str]:
        """What did not come back to ``before`` in time, and the first of that in one line; empty when all did.

        ``early``: before the clean-up; only of those that must be right then, too.
        """
        started, pause = self._clock.now(), 0.0  # the first time, what the retry does is wait enough
        waiting = {name: oracle for name, oracle in self._apply(without).items() if oracle.early or not early}
        leaks: list[tuple[StepResult, str]] = []
        while True:
            waiting = {name: oracle for name, oracle in waiting.items() if not self._came_back(name, oracle, before)}
            spent = self._clock.now() - started
            late = [name for name, oracle in waiting.items() if spent >= oracle.poll * self._scale]
            leaks += [self._leak(name, waiting.pop(name), before[name], spent) for name in late]
            if not waiting:
                return tuple(step for step, _ in leaks), leaks[0][1] if leaks else ""
            self._clock.sleep(pause)
            pause = min(2 * pause + 0.05, 1.0)
            self._again(waiting.values())

    def _apply(self, without: Iterable[str]) -> dict[str, Oracle]:
        capabilities, facts = self._suite.spec.capabilities, self._guest.facts
        return {
            name: oracle
            for name, oracle in self._suite.spec.oracles.items()
            if name not in without and not any(lacking(capabilities[needed], facts) for needed in oracle.requires)
        }

    def _measure(self, oracle: Oracle) -> Any:
        runner = self._steps()
        runner.run(oracle.steps)
        return runner.value(oracle.value)

    def _came_back(self, name: str, oracle: Oracle, before: Mapping[str, Any]) -> bool:
        self._got[name] = self._measure(oracle)
        return match.holds(self._must(oracle, before[name]), self._got[name])

    def _must(self, oracle: Oracle, before: Any) -> Any:
        return refs.resolve(oracle.must, {"before": before, "facts": self._guest.facts})

    def _again(self, oracles: Iterable[Oracle]) -> None:
        """What the oracles want done before they look again, each thing once."""
        done: list[tuple[Step, ...]] = []
        for oracle in oracles:
            if oracle.retry not in done:
                done.append(oracle.retry)
                self._steps().run(oracle.retry)

    def _leak(self, name: str, oracle: Oracle, before: Any, spent: float) -> tuple[StepResult, str]:
        expected = f"{match.describe(self._must(oracle, before))} (before: {match.show(before)})"
        got = match.show(self._got[name])
        step = StepResult(f"oracle {name}", oracle.about, False, expected, got, spent)
        return step, f"{oracle.leak}: {oracle.about}: expected {expected}, got {got}"
