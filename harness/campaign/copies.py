"""Scenarios on private copies of one frozen guest: each begins on a pristine kernel, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.campaign.one import TRIES, OneScenario
from harness.campaign.session import Frozen, Plan, Session
from harness.machine.snapshot import SnapshotFailed
from harness.model import Outcome, Status
from harness.proc import Door
from harness.scenario.schema import Scenario
from harness.ui import Ui


class CopyRunner:
    """``run()`` once; what it leaves out is for a guest that is booted."""

    def __init__(
        self, plan: Plan, frozen: Frozen, one: OneScenario, side: str, evidence: Path, door: Door, ui: Ui
    ) -> None:
        self._plan, self._frozen, self._one = plan, frozen, one
        self._side, self._evidence, self._door, self._ui = side, evidence, door, ui
        self._lock = threading.Lock()
        self._begun = 0  # scenarios
        self._no_more = threading.Event()  # no copy is started any more

    def run(self, scenarios: Sequence[Scenario], jobs: int) -> Mapping[str, Outcome]:
        """Outcomes by scenario id; those that are missing found no copy that worked.

        Each worker takes the next scenario that nobody has. Copies are started by the workers' threads, which live
        longer than any copy (see harness.proc).
        """
        with ThreadPoolExecutor(jobs, thread_name_prefix=f"{self._side}-copies") as pool:
            found = pool.map(lambda scenario: self._guarded(scenario, len(scenarios)), scenarios)
            return {outcome.scenario: outcome for outcome in found if outcome is not None}

    def _guarded(self, scenario: Scenario, count: int) -> Outcome | None:
        if self._no_more.is_set():
            return None
        with self._lock:
            self._begun += 1
            self._ui.live(f"{self._side}: {self._begun}/{count} {scenario.id}")
        try:
            return self._outcome(scenario)
        except SnapshotFailed as failed:
            self._no_more.set()
            self._ui.once(f"{self._side}: {failed.message}; the rest runs on a guest that is booted")
            return None
        except BaseException:
            self._no_more.set()
            raise

    def _outcome(self, scenario: Scenario) -> Outcome:
        """The scenario on a copy of its own; once more when the host was at fault."""
        for number in range(1, TRIES + 1):
            # The folder that keeps the evidence is the copy's own.
            folder = self._evidence / (scenario.id if number == 1 else f"{scenario.id}.{number}")
            with Session(self._plan, folder, self._door, self._frozen) as guest:
                outcome = self._one.run(guest, scenario, {}, 0)
                fault = guest.host_fault() if outcome.status is Status.ERROR else ""
            if not fault:
                break
            self._ui.say(f"{self._side}: {scenario.id}: {fault}; once more")
        return outcome
