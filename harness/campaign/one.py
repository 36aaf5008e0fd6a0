"""One scenario on one guest: what it did, and the evidence."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.campaign.guest import Plan
from harness.campaign.session import Session
from harness.machine.argv import replay_script
from harness.model import Outcome, Status
from harness.scenario.replay import Exchange, Recorder, script
from harness.scenario.run import behaviours_of, measure, run_scenario, why_skipped
from harness.scenario.schema import Plain, Scenario, Suite
from harness.scenario.tuning import Tuning

TRIES = 3  # of a scenario whose machine ends by a fault of the host
_USUAL_BOOT = 3.0  # seconds of the guest's time; one that takes longer is slow, and gets longer deadlines
_CUT = (
    "the console does not come to an end, so what the kernel said last is not known: see console.log, and run it again"
)
_LOST = (Status.CRASH, Status.HANG, Status.ERROR)  # outcomes after which the guest is not used again


def scale(guest: Session) -> float:
    """By how much deadlines grow on this guest."""
    return max(1.0, guest.boot_seconds / _USUAL_BOOT)


def spoilt(outcome: Outcome) -> bool:
    """Whether the guest is not to be used again, not even to take it back."""
    return outcome.status in _LOST or bool(outcome.splats)


class OneScenario:
    """Carries scenarios out on guests of one kernel; keeps nothing of them, so threads may share it."""

    def __init__(
        self,
        plan: Plan,
        suite: Suite,
        behaviours: Mapping[str, Plain],
        side: str,
        evidence: Path,
        tuning: Tuning,
    ) -> None:
        self._plan, self._suite, self._behaviours, self._tuning = plan, suite, behaviours, tuning
        self._side, self._evidence = side, evidence

    def measure(self, guest: Session) -> Mapping[str, Any]:
        """The values of the suite's oracles on a guest that is set up for its scenarios.

        Raises what carrying out steps does.
        """
        return measure(self._suite, guest, clock=guest, scale=scale(guest), behaviours=self._behaviours)

    def skipped(self, scenario: Scenario, facts: Mapping[str, Any]) -> Outcome | None:
        """The outcome of a scenario that can tell nothing on a kernel with these ``facts``; None for any other."""
        reason = why_skipped(scenario, self._suite, facts, behaviours_of(self._suite, self._behaviours, facts))
        return Outcome(scenario.id, Status.SKIP, reason, 0.0) if reason else None

    def run(self, guest: Session, scenario: Scenario, measured: Mapping[str, Any] | None) -> Outcome:
        """``measured``: what ``measure`` gave before the guest was frozen; None: it is not set up yet."""
        started = time.monotonic()
        seen = len(guest.splats())
        recorder = Recorder(guest)
        with guest.spread() if scenario.spec.races else contextlib.nullcontext():
            outcome = run_scenario(
                scenario,
                self._suite,
                recorder,
                clock=guest,
                scale=scale(guest),
                behaviours=self._behaviours,
                measured=measured,
                tuning=self._tuning,
            )
        if outcome.status is Status.HANG:
            guest.blocked_tasks()
        elif outcome.status not in _LOST:
            if not guest.drain(scale(guest)) and outcome.status is Status.PASS:
                outcome = dataclasses.replace(outcome, status=Status.ERROR, reason=_CUT)
            guest.halt()  # from here on nothing more can happen to it
        words = guest.last_words(lost=outcome.status is Status.CRASH)
        host_fault = guest.host_fault()
        splats = guest.splats()[seen:]
        status, reason = outcome.status, outcome.reason
        if host_fault:
            status, reason = Status.ERROR, host_fault
        elif words and status is not Status.CRASH:
            status, reason = Status.CRASH, words
        elif words:
            reason = words if words in reason else f"{words} ({reason})" if reason else words
        outcome = dataclasses.replace(
            outcome,
            status=status,
            reason=reason,
            splats=splats,
            seconds=time.monotonic() - started,
            evidence=guest.evidence,
        )
        if status in (Status.FAIL, Status.CRASH, Status.HANG) or splats:
            outcome = dataclasses.replace(outcome, evidence=self._keep(guest, outcome, recorder))
        return outcome

    def _keep(self, guest: Session, outcome: Outcome, recorder: Recorder) -> Path:
        """A folder with the logs of its guest, and what replays the scenario without the harness."""
        folder = self._evidence / outcome.scenario
        folder.mkdir(exist_ok=True)
        guest.keep_logs(folder)
        plan, title = self._plan, f"{outcome.scenario} on the {self._side} kernel: {outcome.status}"
        roles = {name: role.device for name, role in plan.target.roles.items()}
        named = (Exchange(0, {"op": "roles", **roles}), Exchange(0, None, {"ret": 0, "count": len(roles)}))
        (folder / "replay.py").write_text(script(title, (*named, *recorder.exchanges)))
        events = guest.evidence / "events"
        (folder / "replay.sh").write_text(
            replay_script(plan.qemu, plan.target, plan.choice.accelerator, plan.guest, events, title)
        )
        return folder
