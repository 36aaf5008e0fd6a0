"""One suite on one kernel: on copies of one guest, or on guests that are booted after a crash or a hang."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.campaign.copies import CopyRunner
from harness.campaign.one import TRIES, OneScenario, scale, spoilt
from harness.campaign.session import BootFailed, Frozen, Plan, Session
from harness.errors import InfraError
from harness.machine.snapshot import Snapshot, SnapshotFailed
from harness.model import Outcome, Splat, Status
from harness.proc import Door
from harness.scenario.link import GuestLost, GuestTimeout
from harness.scenario.owntests import run_own_tests
from harness.scenario.run import SystemClock
from harness.scenario.schema import OwnTests, Plain, Scenario, Suite
from harness.scenario.steps import AgentRefused, StepFailed
from harness.ui import Ui

_BOOTS = 3  # tries when a boot fails by a fault of the host


@dataclass(frozen=True)
class SideResult:
    """What one kernel did."""

    outcomes: tuple[Outcome, ...]  # of the scenarios that there are, in order
    boot_splats: tuple[Splat, ...]  # outside of any scenario: in boot, and after the last one
    boots: int  # VMs started
    boot_seconds: float  # of the first boot that worked; 0 when none did
    failure: str  # why there is no booted kernel at the end: not built, not booted; empty otherwise
    otherwise: Outcome | None = None  # of every scenario that is not in outcomes; None: the kernel has no such scenario


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
        jobs: int = 0,
    ) -> None:
        """``jobs``: copies at a time; 0: no copies, one booted guest for all."""
        self._plan, self._suite, self._behaviours = plan, suite, behaviours
        self._side, self._evidence, self._door, self._ui = side, evidence, door, ui
        self._one = OneScenario(plan, suite, behaviours, side, evidence)
        self._jobs = jobs
        self._boots = 0
        self._boot_seconds = 0.0
        self._boot_splats: tuple[Splat, ...] = ()
        self._guest: Session | None = None
        self._measured: dict[str, object] = {}  # the oracles' values on the present guest
        self._seen = 0  # splats of the present guest that are already told

    def run(self, scenarios: Sequence[Scenario]) -> SideResult:
        """Every scenario once, in order."""
        outcomes: dict[str, Outcome] = {}
        failure = ""
        with ExitStack() as guests:
            try:
                # One scenario is on a pristine kernel anyway.
                if self._jobs and len(scenarios) > 1:
                    outcomes |= self._on_copies(scenarios)
                for number, scenario in enumerate(scenarios, 1):
                    if scenario.id not in outcomes:
                        self._ui.live(f"{self._side}: {number}/{len(scenarios)} {scenario.id}")
                        outcomes[scenario.id] = self._outcome(guests, scenario)
            except BootFailed as failed:
                failure = failed.reason
                outcomes = {each.id: self._not_booted(each.id, failed) for each in scenarios} | outcomes
            late = self._guest.splats()[self._seen :] if self._guest else ()
        found = tuple(outcomes[scenario.id] for scenario in scenarios)
        return SideResult(found, (*self._boot_splats, *late), self._boots, self._boot_seconds, failure)

    def _on_copies(self, scenarios: Sequence[Scenario]) -> Mapping[str, Outcome]:
        """Outcomes of the scenarios that copies carried out: all, or none when a guest cannot be frozen here."""
        plan = self._plan
        accelerator = plan.choice.accelerator
        try:
            with Snapshot(plan.qemu, plan.target, accelerator, plan.guest, plan.channel, self._door) as snapshot:
                if snapshot.note:
                    self._ui.once(f"snapshots: {snapshot.note}")
                frozen = self._frozen(snapshot)
                copies = CopyRunner(plan, frozen, self._one, self._side, self._evidence, self._door, self._ui)
                return copies.run(scenarios, self._jobs)
        except SnapshotFailed as failed:
            self._ui.once(f"{self._side}: {failed.message}; one guest for all scenarios")
            return {}

    def _frozen(self, snapshot: Snapshot) -> Frozen:
        with ExitStack() as guests:
            guest = self._boot(guests, snapshot)
            self._guest = None  # it runs no scenario
            with self._ui.phase("snapshot", self._side):
                return guest.freeze()

    def run_own_tests(self, tests: OwnTests, patterns: Sequence[str]) -> SideResult:
        """The tests that the guest carries out itself, those whose ids match one of ``patterns``; all without."""
        outcomes: tuple[Outcome, ...] = ()
        otherwise, failure = Outcome("", Status.SKIP, f"this kernel has no such test: {tests.missing}", 0.0), ""
        with ExitStack() as guests:
            try:
                guest = self._boot(guests)
                outcomes, otherwise = self._own(guest, tests, otherwise)
            except BootFailed as failed:
                failure, otherwise = failed.reason, self._not_booted("", failed)
            late = self._guest.splats()[self._seen :] if self._guest else ()
        chosen = tuple(each for each in outcomes if any(fnmatchcase(each.scenario, word) for word in patterns or "*"))
        splats = (*self._boot_splats, *late)
        return SideResult(chosen, splats, self._boots, self._boot_seconds, failure, None if outcomes else otherwise)

    def _own(self, guest: Session, tests: OwnTests, missing: Outcome) -> tuple[tuple[Outcome, ...], Outcome]:
        """The outcomes, and what stands for all of them when there are none."""
        self._ui.live(f"{self._side}: reading the results of the guest's own tests")
        try:
            found = run_own_tests(
                self._suite,
                tests,
                guest,
                SystemClock(),
                scale=scale(guest),
                behaviours=self._behaviours,
                folder=self._evidence / "ktap",
            )
            return found, missing
        except StepFailed as failed:
            status, reason = Status.FAIL, f"before the tests: {failed}"
        except AgentRefused as refused:
            status, reason = Status.ERROR, f"the agent does not understand {refused}"
        except GuestTimeout as late:
            status, reason = Status.HANG, str(late)
        except GuestLost as lost:
            status, reason = Status.CRASH, guest.last_words(lost=True) or str(lost)
        if fault := guest.host_fault():
            status, reason = Status.ERROR, fault
        return (), Outcome("", status, reason, 0.0, evidence=guest.evidence)

    def _outcome(self, guests: ExitStack, scenario: Scenario) -> Outcome:
        """The scenario on the present guest or a new one; once more when the host was at fault."""
        for left in reversed(range(TRIES)):
            guest = self._guest or self._boot(guests)
            outcome = self._one.run(guest, scenario, self._measured, self._seen)
            self._seen += len(outcome.splats)
            fault = guest.host_fault() if outcome.status is Status.ERROR else ""
            if spoilt(outcome):
                guests.close()
                self._guest = None
            if not fault or not left:
                break
            self._ui.say(f"{self._side}: {scenario.id}: {fault}; once more")
        return outcome

    def _boot(self, guests: ExitStack, snapshot: Snapshot | None = None) -> Session:
        for left in reversed(range(_BOOTS)):
            self._boots += 1
            session = Session(self._plan, self._evidence / f"boot-{self._boots}", self._door, snapshot)
            try:
                with self._ui.phase("boot", self._side):
                    self._guest = guests.enter_context(session)
            except BootFailed as failed:
                if failed.host_fault and left:
                    self._ui.say(f"{self._side}: the host's fault, not the kernel's: {failed.host_fault}; once more")
                    continue
                if failed.host_fault:
                    raise InfraError(
                        f"the host keeps the guest from booting: {failed.host_fault}",
                        "run again when the machine is less busy",
                    ) from failed
                raise
            self._seen = len(session.splats())
            self._measured = {}
            if not self._boot_seconds:
                self._boot_seconds, self._boot_splats = session.boot_seconds, session.splats()
            return session
        raise AssertionError("the last try returns or raises")

    def _not_booted(self, scenario: str, failed: BootFailed) -> Outcome:
        return Outcome(
            scenario,
            failed.status,
            failed.reason,
            0.0,
            splats=failed.splats,
            evidence=self._evidence / f"boot-{self._boots}",
        )


def usual_jobs(cpus: int, kernels: int) -> int:
    """How many guests with ``cpus`` CPUs this machine carries at a time on each of ``kernels`` kernels."""
    return max(1, len(os.sched_getaffinity(0)) // (kernels * cpus))
