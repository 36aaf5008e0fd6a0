"""Booting guests of one kernel, and once more when the host was at fault."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

from harness.campaign.guest import BootFailed, Plan
from harness.campaign.session import Session
from harness.campaign.slots import Slots
from harness.errors import InfraError
from harness.machine.snapshot import Snapshot
from harness.model import Splat
from harness.proc import Door
from harness.ui import Ui

_TRIES = 3  # when a boot fails by a fault of the host


class Boots:
    """``boot()`` from any thread."""

    def __init__(self, plan: Plan, side: str, evidence: Path, door: Door, ui: Ui, slots: Slots) -> None:
        self._plan, self._side, self._evidence = plan, side, evidence
        self._door, self._ui, self._slots = door, ui, slots
        self._lock = threading.Lock()
        self.number = 0  # machines started
        self.last = evidence  # folder of the last one
        self.seconds = 0.0  # of the first boot that worked; 0 when none did
        self.splats: tuple[Splat, ...] = ()  # of that boot

    def boot(self, guests: ExitStack, snapshot: Snapshot | None = None) -> Session:
        """A guest that is ready, in ``guests``; with ``snapshot`` it can be frozen.

        Raises BootFailed when the kernel does not get there, InfraError when the host keeps it from that.
        """
        for left in reversed(range(_TRIES)):
            session = Session(self._plan, self._folder(), self._door, snapshot)
            try:
                with self._slots.busy(), self._ui.phase("boot", self._side):
                    guests.enter_context(session)
            except BootFailed as failed:
                if not failed.host_fault:
                    raise
                if not left:
                    raise InfraError(
                        f"the host keeps the guest from booting: {failed.host_fault}",
                        "run again when the machine is less busy",
                    ) from failed
                self._ui.say(f"{self._side}: the host's fault, not the kernel's: {failed.host_fault}; once more")
                continue
            self._note(session)
            return session
        raise AssertionError("the last try returns or raises")

    def _folder(self) -> Path:
        with self._lock:
            self.number += 1
            self.last = self._evidence / f"boot-{self.number}"
            return self.last

    def _note(self, session: Session) -> None:
        if not self.seconds:
            session.drain()
        with self._lock:
            if not self.seconds:
                self.seconds, self.splats = session.boot_seconds, session.splats()
