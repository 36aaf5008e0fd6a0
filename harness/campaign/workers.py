"""Scenarios, each on a pristine guest, several at a time.

A pristine guest is a copy of one that was frozen when it was ready, or one that
was booted for the scenario. A copy whose scenario ended well is taken back to
where it was frozen and serves the next one; any other is thrown away.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from harness.campaign.boots import Boots
from harness.campaign.guest import Frozen, Plan
from harness.campaign.one import TRIES, OneScenario, spoilt
from harness.campaign.session import Session
from harness.campaign.slots import Slots
from harness.machine.snapshot import SnapshotFailed
from harness.model import Outcome, Status
from harness.proc import Door
from harness.scenario.schema import Scenario
from harness.ui import Ui


@dataclasses.dataclass(frozen=True)
class Crew:
    """What all workers on one kernel share."""

    plan: Plan
    one: OneScenario
    boots: Boots
    side: str
    evidence: Path
    door: Door
    ui: Ui
    slots: Slots


class Workers:
    """``run()`` once; ``found`` has what came of it, also when it raises."""

    def __init__(self, crew: Crew, frozen: Frozen | None) -> None:
        """Without ``frozen``, each scenario has a guest that is booted for it."""
        self._crew, self._frozen = crew, frozen
        self._lock = threading.Lock()
        self._queue: Iterator[Scenario] = iter(())
        self._begun = self._count = 0  # scenarios
        self._copies = 0
        self._facts = frozen.facts if frozen else None  # of the kernel: those of every guest that runs it
        self._no_more = threading.Event()  # the queue is not asked any more
        self.found: dict[str, Outcome] = {}  # by scenario id

    def run(self, scenarios: Sequence[Scenario]) -> None:
        """Carry out ``scenarios``; those not in ``found`` afterwards had no copy that worked.

        Raises BootFailed and InfraError. Machines are started by the threads that use them, which live longer than
        any machine (see harness.proc).
        """
        self._queue, self._count = iter(scenarios), len(scenarios)
        number = min(self._crew.slots.number, len(scenarios))
        with ThreadPoolExecutor(number, thread_name_prefix=f"{self._crew.side}-worker") as pool:
            for worker in [pool.submit(self._work, f"{self._crew.side}-{each + 1}") for each in range(number)]:
                worker.result()

    def _work(self, lane: str) -> None:
        with self._crew.slots.worker(), self._crew.ui.timeline.lane(lane), ExitStack() as guests:
            guest: Session | None = None
            while (scenario := self._next()) is not None:
                try:
                    guest = self._carry_out(guests, guest, scenario)
                except SnapshotFailed as failed:
                    self._no_more.set()
                    self._crew.ui.once(f"{self._crew.side}: {failed.message}; the rest is booted, each on its own")
                except BaseException:
                    self._no_more.set()
                    raise

    def _next(self) -> Scenario | None:
        with self._lock:
            scenario = None if self._no_more.is_set() else next(self._queue, None)
            if scenario is not None:
                self._begun += 1
                self._crew.ui.live(f"{self._crew.side}: {self._begun}/{self._count} {scenario.id}")
            return scenario

    def _carry_out(self, guests: ExitStack, guest: Session | None, scenario: Scenario) -> Session | None:
        """One scenario; once more when the host was at fault. Returns the guest for the next one, if it is pristine."""
        if self._facts is not None and (outcome := self._crew.one.skipped(scenario, self._facts)):
            self.found[scenario.id] = outcome
            return guest
        for left in reversed(range(TRIES)):
            guest = guest or self._fresh(guests)
            self._facts = guest.facts
            with self._crew.slots.busy():
                outcome = self._timed(guest, scenario)
                self.found[scenario.id] = outcome
                fault = guest.host_fault() if outcome.status is Status.ERROR else ""
                kept = not spoilt(outcome) and self._rewound(guest)
            if not kept:
                guests.close()
                guest = None
            if not fault or not left:
                break
            self._crew.ui.say(f"{self._crew.side}: {scenario.id}: {fault}; once more")
        return guest

    def _timed(self, guest: Session, scenario: Scenario) -> Outcome:
        timeline = self._crew.ui.timeline
        started = timeline.now()
        with timeline.span(scenario.id, "scenario"):
            outcome = self._crew.one.run(guest, scenario, self._frozen.measured if self._frozen else None)
        return dataclasses.replace(outcome, started=started, worker=timeline.here)

    def _rewound(self, guest: Session) -> bool:
        """Whether the guest is pristine again."""
        if not guest.halted:
            return False
        try:
            with self._crew.ui.timeline.span("rewind", "machine"):
                guest.rewind()
        except SnapshotFailed as failed:
            self._crew.ui.once(f"{self._crew.side}: {failed.message}; each scenario has a new copy")
            return False
        return True

    def _fresh(self, guests: ExitStack) -> Session:
        if self._frozen is None:
            return self._crew.boots.boot(guests)
        with self._lock:
            self._copies += 1
            folder = self._crew.evidence / f"copy-{self._copies}"
        with self._crew.slots.busy(), self._crew.ui.timeline.span("copy", "machine"):
            return guests.enter_context(Session(self._crew.plan, folder, self._crew.door, self._frozen))
