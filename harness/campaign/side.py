"""One suite on one kernel: each scenario on a copy of one guest, or on a guest that is booted for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.campaign.boots import Boots
from harness.campaign.guest import BootFailed, Frozen, Plan
from harness.campaign.one import OneScenario, scale
from harness.campaign.result import SideResult
from harness.campaign.session import Session
from harness.campaign.slots import Slots
from harness.campaign.workers import Crew, Workers
from harness.machine.snapshot import Snapshot, SnapshotFailed
from harness.model import Outcome, Splat, Status
from harness.proc import Door
from harness.scenario.link import GuestLost, GuestTimeout
from harness.scenario.load import is_chosen
from harness.scenario.owntests import OwnTestsRun
from harness.scenario.schema import Carried, OwnTests, Plain, Scenario, Suite
from harness.scenario.steps import AgentRefused, StepFailed
from harness.scenario.tuning import Tuning
from harness.ui import Ui


class SideRunner:
    """Runs scenarios on one kernel, each result kept whatever happens to the guest."""

    def __init__(
        self,
        plan: Plan,
        suite: Suite,
        behaviours: Mapping[str, Plain],
        side: str,
        evidence: Path,
        door: Door,
        ui: Ui,
        slots: Slots,
        snapshot: bool = True,
        tuning: Tuning | None = None,
    ) -> None:
        """``snapshot``: scenarios run on copies of one guest, where that works; else each on a guest of its own."""
        self._plan, self._suite, self._behaviours = plan, suite, behaviours
        self._side, self._evidence, self._door, self._ui = side, evidence, door, ui
        self._one = OneScenario(plan, suite, behaviours, side, evidence, tuning or Tuning())
        self._boots = Boots(plan, side, evidence, door, ui, slots)
        self._crew = Crew(plan, self._one, self._boots, side, evidence, door, ui, slots)
        self._slots, self._snapshot = slots, snapshot

    def run(self, scenarios: Sequence[Scenario]) -> SideResult:
        """Every scenario once, on a pristine kernel."""
        found: dict[str, Outcome] = {}
        failure = ""
        try:
            # One scenario needs no copy to be on a pristine kernel.
            if self._snapshot and len(scenarios) > 1:
                self._on_copies(scenarios, found)
            rest = [scenario for scenario in scenarios if scenario.id not in found]
            if rest:
                self._carry_out(rest, None, found)
        except BootFailed as failed:
            failure = failed.reason
            found = {each.id: self._not_booted(each.id, failed) for each in scenarios} | found
        outcomes = tuple(found[scenario.id] for scenario in scenarios)
        return self._result(outcomes, failure, self._boots.splats)

    def _on_copies(self, scenarios: Sequence[Scenario], found: dict[str, Outcome]) -> None:
        """What copies carry out: all, or nothing when a guest cannot be frozen here."""
        plan = self._plan
        accelerator = plan.choice.accelerator
        try:
            with Snapshot(plan.qemu, plan.target, accelerator, plan.guest, plan.channel, self._door) as snapshot:
                if snapshot.note:
                    self._ui.once(f"snapshots: {snapshot.note}")
                frozen = self._frozen(snapshot)
                self._carry_out(scenarios, frozen, found)
        except SnapshotFailed as failed:
            self._ui.once(f"{self._side}: {failed.message}; a guest is booted for each scenario")

    def _carry_out(self, scenarios: Sequence[Scenario], frozen: Frozen | None, found: dict[str, Outcome]) -> None:
        workers = Workers(self._crew, frozen)
        try:
            workers.run(scenarios)
        finally:
            found |= workers.found

    def _frozen(self, snapshot: Snapshot) -> Frozen:
        with ExitStack() as guests:
            guest = self._boots.boot(guests, snapshot)
            with self._slots.busy(), self._ui.phase("snapshot", self._side):
                return guest.freeze(self._measured(guest))

    def _measured(self, guest: Session) -> Mapping[str, Any] | None:
        if self._plan.guest.ssh is not None:
            return None  # a copy has another connection, which takes memory of the kernel's
        try:
            return self._one.measure(guest)
        except (StepFailed, AgentRefused, GuestTimeout, GuestLost) as failed:
            # Each scenario will meet it, and tell it as its own result.
            raise SnapshotFailed(f"the suite's oracles fail: {failed}") from failed

    def run_own_tests(self, tests: OwnTests, patterns: Sequence[str]) -> SideResult:
        """The tests that the guest carries out itself, those whose ids match one of ``patterns``; all without."""
        missing = Outcome("", Status.SKIP, f"this kernel has no such test: {tests.missing}", 0.0)
        outcomes: list[Outcome] = []
        splats: list[Splat] = []
        cut: list[Outcome] = []  # what stands for tests that have no outcome, because something ended before them
        for carried in tests.run or (None,):
            with ExitStack() as guests:
                try:
                    guest = self._boots.boot(guests)
                except BootFailed as failed:
                    return self._result((), failed.reason, (), self._not_booted("", failed))
                with self._slots.busy():
                    found, end = self._own(guest, tests, carried)
                outcomes += found
                cut += [end] if end else []
                splats += guest.splats()
        chosen = [each for each in outcomes if is_chosen(each.scenario, patterns)]
        # Beside results there must be the end of what has none: whatever was asked for may be among it.
        chosen += cut if outcomes else []
        return self._result(tuple(chosen), "", tuple(splats), cut[0] if cut else None if outcomes else missing)

    def _own(self, guest: Session, tests: OwnTests, carried: Carried | None) -> tuple[list[Outcome], Outcome | None]:
        """The outcomes of one guest; and if something ended it before the last of them, that."""
        what = f"running {carried.program}" if carried else "reading the results of the guest's own tests"
        self._ui.live(f"{self._side}: {what}")
        own = OwnTestsRun(
            self._suite,
            tests,
            guest,
            guest,
            scale=scale(guest),
            behaviours=self._behaviours,
            folder=self._evidence / "ktap",
        )
        try:
            own.run(carried)
        except StepFailed as failed:
            guest.drain(scale(guest))
            status, reason = Status.FAIL, f"{'' if own.label else 'before the tests: '}{failed}"
        except AgentRefused as refused:
            status, reason = Status.ERROR, f"the agent does not understand {refused}"
        except GuestTimeout as late:
            status, reason = Status.HANG, str(late)
            guest.blocked_tasks()
        except GuestLost as lost:
            status, reason = Status.CRASH, guest.last_words(lost=True) or str(lost)
        else:
            guest.drain(scale(guest))
            return own.found, None
        if fault := guest.host_fault():
            status, reason = Status.ERROR, fault
        told = "; ".join(filter(None, (reason, own.at)))
        name = own.label or (carried.program if carried else self._suite.name)
        return own.found, Outcome(name, status, told, 0.0, evidence=guest.evidence)

    def _result(
        self, outcomes: tuple[Outcome, ...], failure: str, splats: tuple[Splat, ...], otherwise: Outcome | None = None
    ) -> SideResult:
        return SideResult(outcomes, splats, self._boots.number, self._boots.seconds, failure, otherwise=otherwise)

    def _not_booted(self, scenario: str, failed: BootFailed) -> Outcome:
        return Outcome(scenario, failed.status, failed.reason, 0.0, splats=failed.splats, evidence=self._boots.last)
