"""A guest that was stopped when it was ready, and private copies of it.

The guest boots with its memory in a file, is stopped, and QEMU writes the rest
of its state to a second file. A copy is a QEMU with the same command line that
maps the memory privately, so that copies share what they do not write to, and
loads the state. The guest does not notice: its clocks stand still while it is
saved, and its serial ports have new peers. Where QEMU has our x-rewind (see
qemu/patches), a copy that has run can be taken back in its process: quicker
than a new one, and what TCG has translated stays.

Copies are equal in everything: boot id, randomised addresses, random numbers
to come. Scenarios get the same kernel, which is the point.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from qemu.qmp.error import QMPError

from harness.errors import InfraError
from harness.machine import shm
from harness.machine.argv import Ram
from harness.machine.target import Accelerator, Target
from harness.machine.vm import Vm
from harness.model import Guest, Qemu
from harness.proc import Door

_LIMIT = 30.0  # seconds for saving or loading a state
_LOOK = 0.001  # seconds between two looks at whether it is done
_REWIND = "x-rewind"  # our QEMU's command
_STATE_MIB = 32  # room for the state of everything but memory; measured: 0.4
# Memory in a file of its own is not part of the state (docs/system/vm-templating.rst).
_WITHOUT_MEMORY = [{"capability": "x-ignore-shared", "state": True}]


class SnapshotFailed(InfraError):
    """The machine could not be saved, or not be started from what was saved: boot it instead."""


@dataclass(frozen=True)
class Saved:
    """What a snapshot holds."""

    seconds: float  # that the guest was stopped for
    state: int  # bytes of state beside the memory
    memory: int  # bytes of memory that the guest had touched


class Snapshot:
    """``with Snapshot(...) as snapshot``: boot one machine with it, save that, start copies from any thread.

    Its files are gone when the block is left; leave the copies first. Raises SnapshotFailed on entry when there is
    no room for the guest's memory.
    """

    def __init__(
        self, qemu: Qemu, target: Target, accelerator: Accelerator, guest: Guest, channel: str, door: Door
    ) -> None:
        self._launch = (qemu, target, accelerator, guest, channel)
        self._size = (target.memory_mib + _STATE_MIB) << 20
        self._door = door
        self._stack = contextlib.ExitStack()
        self._folder = Path()
        self.note = ""  # why the files are not in shared memory, for people; empty when they are
        self.saved: Saved | None = None
        self._rewinds: bool | None = None  # whether QEMU can; None: not asked yet

    def __enter__(self) -> Snapshot:
        try:
            place = self._stack.enter_context(shm.folder(self._size))
        except InfraError as error:
            raise SnapshotFailed(error.message, error.hint) from error
        self._folder, self.note = place.folder, place.why
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def boot(self, evidence: Path) -> Vm:
        """The machine to boot and to ``save``; its logs go to ``evidence``."""
        return Vm(*self._launch, evidence, self._door, Ram(self._folder / "memory", copy=False))

    def save(self, vm: Vm) -> Saved:
        """Stop ``vm``, which is what ``boot`` gave, for good, and keep its state. Raises SnapshotFailed."""
        if vm.ended():
            raise SnapshotFailed(f"the guest cannot be saved: {vm.ended()}")
        memory, state = self._folder / "memory", self._folder / "state"
        started = time.monotonic()
        with _told("save the guest", vm):
            vm.qmp("stop")
            vm.qmp("migrate-set-capabilities", capabilities=_WITHOUT_MEMORY)
            vm.qmp("migrate", uri=f"file:{state}")
            _wait(vm)
        self.saved = Saved(time.monotonic() - started, state.stat().st_size, memory.stat().st_blocks * 512)
        return self.saved

    @contextlib.contextmanager
    def copy(self, evidence: Path) -> Iterator[Vm]:
        """A private copy of the saved guest, running; its logs, which begin here, go to ``evidence``.

        Raises SnapshotFailed.
        """
        if self.saved is None:
            raise SnapshotFailed("there is no saved guest to copy")
        with contextlib.ExitStack() as stack:
            try:
                ram = Ram(self._folder / "memory", copy=True)
                vm = stack.enter_context(Vm(*self._launch, evidence, self._door, ram))
            except InfraError as error:
                raise SnapshotFailed(error.message, error.hint) from error
            with _told("start a copy of the guest", vm):
                vm.qmp("migrate-set-capabilities", capabilities=_WITHOUT_MEMORY)
                # With exit-on-error, which is the default, QEMU would say why on its way out only.
                vm.qmp("migrate-incoming", **{"uri": f"file:{self._folder / 'state'}", "exit-on-error": False})
                _wait(vm)
                vm.qmp("cont")
            yield vm

    def can_rewind(self, vm: Vm) -> bool:
        """Whether the QEMU of ``vm`` can take a copy back."""
        if self._rewinds is None:
            self._rewinds = any(each["name"] == _REWIND for each in vm.qmp("query-commands"))
        return self._rewinds

    def stop(self, vm: Vm) -> None:
        """Stop ``vm``, a copy, before it is taken back. Raises SnapshotFailed."""
        with _told("stop a copy of the guest", vm):
            vm.qmp("stop")

    def rewind(self, vm: Vm) -> None:
        """Take ``vm``, a copy that is stopped, back to the saved guest, and let it run. Raises SnapshotFailed.

        Afterwards the copy is as new; only bytes that it has not read yet still wait at its ports.
        """
        with _told("take a copy of the guest back", vm):
            vm.qmp(_REWIND, filename=str(self._folder / "state"))
            vm.qmp("cont")


def _wait(vm: Vm) -> None:
    """Until QEMU has written or read the state."""
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        known: dict[str, Any] = vm.qmp("query-migrate")
        if known.get("status") == "completed":
            return
        if known.get("status") == "failed":
            raise SnapshotFailed(str(known.get("error-desc") or vm.said() or "QEMU does not say why"))
        time.sleep(_LOOK)
    raise SnapshotFailed(f"not done after {_LIMIT:.0f} s")


@contextlib.contextmanager
def _told(what: str, vm: Vm) -> Iterator[None]:
    """Say what could not be done when QEMU refuses, fails or ends."""
    try:
        yield
    except (QMPError, OSError, EOFError, TimeoutError, SnapshotFailed) as error:
        why = error.message if isinstance(error, SnapshotFailed) else f"{vm.ended() or error}: {vm.said()}"
        raise SnapshotFailed(f"cannot {what}: {why}", "--no-snapshot boots a guest for each scenario") from error
