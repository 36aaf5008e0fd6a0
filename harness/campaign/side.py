"""One suite on one kernel: boot, run, and boot again after a crash or a hang."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.campaign.session import BootFailed, Plan, Session
from harness.errors import InfraError
from harness.machine.argv import replay_script
from harness.model import Outcome, Splat, SplatKind, Status
from harness.proc import Door
from harness.scenario.link import GuestLost, GuestTimeout
from harness.scenario.owntests import run_own_tests
from harness.scenario.replay import Exchange, Recorder, script
from harness.scenario.run import SystemClock, run_scenario
from harness.scenario.schema import OwnTests, Plain, Scenario, Suite
from harness.scenario.steps import AgentRefused, StepFailed
from harness.ui import Ui

_USUAL_BOOT = 3.0  # seconds; a guest that takes longer is slow, and gets longer deadlines
_SLOWEST = 5.0  # the most by which deadlines grow
_BOOTS = 3  # tries when a boot fails by a fault of the host
_TRIES = 3  # of a scenario whose machine ends by a fault of the host
_LOST = (Status.CRASH, Status.HANG, Status.ERROR)  # outcomes after which the guest is not used again
_BROKEN = frozenset({SplatKind.OOPS, SplatKind.PANIC, SplatKind.BUG, SplatKind.KASAN, SplatKind.SLAB})


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
        self, plan: Plan, suite: Suite, behaviours: Mapping[str, Plain], side: str, evidence: Path, door: Door, ui: Ui
    ) -> None:
        self._plan, self._suite, self._behaviours = plan, suite, behaviours
        self._side, self._evidence, self._door, self._ui = side, evidence, door, ui
        self._boots = 0
        self._boot_seconds = 0.0
        self._boot_splats: tuple[Splat, ...] = ()
        self._guest: Session | None = None
        self._measured: dict[str, object] = {}  # the oracles' values on the present guest
        self._seen = 0  # splats of the present guest that are already told

    def run(self, scenarios: Sequence[Scenario]) -> SideResult:
        """Every scenario once, in order."""
        outcomes: list[Outcome] = []
        failure = ""
        with ExitStack() as guests:
            for number, scenario in enumerate(scenarios, 1):
                self._ui.live(f"{self._side}: {number}/{len(scenarios)} {scenario.id}")
                try:
                    outcomes.append(self._outcome(guests, scenario))
                except BootFailed as failed:
                    failure = failed.reason
                    outcomes += [self._not_booted(each.id, failed) for each in scenarios[number - 1 :]]
                    break
            late = self._guest.splats()[self._seen :] if self._guest else ()
        return SideResult(tuple(outcomes), (*self._boot_splats, *late), self._boots, self._boot_seconds, failure)

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
                scale=self._scale(guest),
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

    @staticmethod
    def _scale(guest: Session) -> float:
        return min(max(1.0, guest.boot_seconds / _USUAL_BOOT), _SLOWEST)

    def _outcome(self, guests: ExitStack, scenario: Scenario) -> Outcome:
        """The scenario on the present guest or a new one; once more when the host was at fault."""
        for left in reversed(range(_TRIES)):
            guest = self._guest or self._boot(guests)
            outcome = self._one(guest, scenario)
            fault = guest.host_fault() if outcome.status is Status.ERROR else ""
            if outcome.status in _LOST or any(splat.kind in _BROKEN for splat in outcome.splats):
                guests.close()
                self._guest = None
            if not fault or not left:
                break
            self._ui.say(f"{self._side}: {scenario.id}: {fault}; once more")
        return outcome

    def _boot(self, guests: ExitStack) -> Session:
        for left in reversed(range(_BOOTS)):
            self._boots += 1
            session = Session(self._plan, self._evidence / f"boot-{self._boots}", self._door)
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

    def _one(self, guest: Session, scenario: Scenario) -> Outcome:
        started = time.monotonic()
        recorder = Recorder(guest)
        outcome = run_scenario(
            scenario,
            self._suite,
            recorder,
            scale=self._scale(guest),
            behaviours=self._behaviours,
            measured=self._measured,
        )
        if outcome.status is Status.HANG:
            guest.blocked_tasks()
        words = guest.last_words(lost=outcome.status is Status.CRASH)
        host_fault = guest.host_fault()
        splats = guest.splats()[self._seen :]
        self._seen += len(splats)
        status, reason = outcome.status, outcome.reason
        if host_fault:
            status, reason = Status.ERROR, host_fault
        elif words and status is not Status.CRASH:
            status, reason = Status.CRASH, words
        elif words:
            reason = words if words in reason else f"{words} ({reason})" if reason else words
        elif status is Status.PASS and any(splat.kind in _BROKEN for splat in splats):
            status, reason = Status.CRASH, splats[0].title
        outcome = dataclasses.replace(
            outcome,
            status=status,
            reason=reason,
            splats=(*outcome.splats, *splats),
            seconds=time.monotonic() - started,
            evidence=guest.evidence,
        )
        if status in (Status.FAIL, Status.CRASH, Status.HANG) or splats:
            outcome = dataclasses.replace(outcome, evidence=self._keep(guest, outcome, recorder))
        return outcome

    def _keep(self, guest: Session, outcome: Outcome, recorder: Recorder) -> Path:
        """A folder with what replays the scenario without the harness, and links to the logs of its machine."""
        folder = self._evidence / outcome.scenario
        folder.mkdir(exist_ok=True)
        for log in ("console.log", "trace.log", "protocol.log", "qemu.log"):
            with contextlib.suppress(FileExistsError):
                (folder / log).symlink_to(guest.evidence / log)
        plan, title = self._plan, f"{outcome.scenario} on the {self._side} kernel: {outcome.status}"
        roles = {name: role.device for name, role in plan.target.roles.items()}
        named = (Exchange(0, {"op": "roles", **roles}), Exchange(0, None, {"ret": 0, "count": len(roles)}))
        (folder / "replay.py").write_text(script(title, (*named, *recorder.exchanges)))
        events = guest.evidence / "events"
        (folder / "replay.sh").write_text(
            replay_script(plan.qemu, plan.target, plan.choice.accelerator, plan.guest, events, title)
        )
        return folder

    def _not_booted(self, scenario: str, failed: BootFailed) -> Outcome:
        return Outcome(
            scenario,
            failed.status,
            failed.reason,
            0.0,
            splats=failed.splats,
            evidence=self._evidence / f"boot-{self._boots}",
        )
