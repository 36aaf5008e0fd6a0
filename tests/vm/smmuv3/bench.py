"""A machine of the test's own: ``with open_bench(...) as bench``. QEMU runs no guest; the test is the CPU (qtest)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from qemu.qmp.legacy import QEMUMonitorProtocol

from harness.model import Qemu
from harness.proc import Door

_ANSWER = 15.0  # seconds for QEMU's answer to one request
SETTLE = 5.0  # seconds in which the model must have done what it does by itself
_TURNS = 50  # reads of a register, in each of which QEMU's main loop runs what is due


@dataclass(frozen=True)
class Wiring:
    """What a machine is started with."""

    ssidsize: int = 16  # bits of a SubstreamID
    stall: bool = True
    ats: bool = False
    devices: tuple[str, ...] = (  # kph-dma-platform at the first, second, third window of the platform bus
        "kph-dma-platform,stream-id=0x100,pasid-width=16,stall=on",
        "kph-dma-platform,stream-id=0x101,pasid-width=16,stall=on",
        "kph-dma-platform,stream-id=0x102,pasid-width=16",
    )

    def argv(self, qemu: Qemu, qtest: int, monitor: int, trace: Path) -> list[str]:
        """The command line; ``qtest`` and ``monitor`` are file descriptors of sockets."""
        words = [str(qemu.folder / "bin" / "qemu-system-aarch64"), "-L", str(qemu.folder / "share" / "qemu")]
        words += ["-machine", "virt,iommu=smmuv3,gic-version=3", "-cpu", "cortex-a57", "-m", "256M"]
        words += ["-nodefaults", "-display", "none", "-accel", "qtest"]
        words += ["-chardev", f"socket,id=qtest,fd={qtest}", "-object", "qtest,id=qtest0,chardev=qtest"]
        words += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "monitor,mode=control"]
        words += ["-trace", "smmuv3_dma_fault", "-D", str(trace)]
        for name, value in (("stall", self.stall), ("ats", self.ats)):
            words += ["-global", f"arm-smmuv3.{name}={'on' if value else 'off'}"]
        words += ["-global", f"arm-smmuv3.ssidsize={self.ssidsize}"]
        for device in self.devices:
            words += ["-device", device]
        return words


class Bench:
    """Memory accesses of the CPU, and the monitor."""

    def __init__(self, wires: IO[bytes], monitor: QEMUMonitorProtocol, folder: Path) -> None:
        self._wires = wires
        self._monitor = monitor
        self.folder = folder  # trace.log and qemu.log

    def _ask(self, request: str) -> list[str]:
        self._wires.write(request.encode() + b"\n")
        self._wires.flush()
        while True:
            line = self._wires.readline().decode()
            words = line.split()
            if words[:1] == ["IRQ"]:
                continue  # an interrupt line moved
            assert words[:1] == ["OK"], f"{request}: {line!r}; {(self.folder / 'qemu.log').read_text()}"
            return words[1:]

    def write32(self, address: int, value: int) -> None:
        """Store 32 bits."""
        self._ask(f"writel {address:#x} {value:#x}")

    def write64(self, address: int, value: int) -> None:
        """Store 64 bits."""
        self._ask(f"writeq {address:#x} {value:#x}")

    def read32(self, address: int) -> int:
        """Load 32 bits."""
        return int(self._ask(f"readl {address:#x}")[0], 16)

    def read64(self, address: int) -> int:
        """Load 64 bits."""
        return int(self._ask(f"readq {address:#x}")[0], 16)

    def stays(self, address: int, value: int) -> bool:
        """Whether the register at ``address`` reads ``value`` as long as work that is due may change it."""
        return all(self.read32(address) == value for _ in range(_TURNS))

    def leaves(self, address: int, value: int) -> int:
        """What the register at ``address`` reads after ``value``."""
        deadline = time.monotonic() + SETTLE
        while (found := self.read32(address)) == value:
            assert time.monotonic() < deadline, f"{address:#x} still reads {value:#x} after {SETTLE:.0f} s"
        return found

    def reset(self) -> None:
        """Reset the machine; returns when that is done."""
        self._monitor.clear_events()
        self._monitor.cmd("system_reset")
        while (event := self._monitor.pull_event(wait=SETTLE)) is not None:
            if event["event"] == "RESET":
                return
        raise AssertionError("no event RESET")

    def save(self) -> dict[str, Any]:
        """Save the machine to a file and let it run on; the end of the migration as QMP tells it."""
        self._monitor.cmd("migrate", uri=f"file:{self.folder / 'state'}")
        deadline = time.monotonic() + SETTLE
        found: Any = {}
        while found.get("status") not in ("completed", "failed"):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
            found = self._monitor.cmd("query-migrate")
        self._monitor.cmd("cont")
        return dict(found)

    def tables(self, everything: bool = False) -> dict[str, Any]:
        """What the SMMU would use now; ``everything``: also what is kept and right."""
        found: Any = self._monitor.cmd("x-query-iommu-tables", all=everything)
        return dict(found)

    def refusals(self) -> tuple[str, ...]:
        """The events ``smmuv3_dma_fault`` so far: transactions refused for good."""
        lines = (self.folder / "trace.log").read_text().splitlines()
        return tuple(line for line in lines if "smmuv3_dma_fault" in line)


@contextlib.contextmanager
def open_bench(qemu: Qemu, folder: Path, wiring: Wiring) -> Iterator[Bench]:
    """A machine; QEMU is gone when the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trace.log").touch()
    with contextlib.ExitStack() as stack:
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        for end in (*ours, *theirs):
            stack.enter_context(end)
        files = [end.fileno() for end in theirs]
        argv = wiring.argv(qemu, files[0], files[1], folder / "trace.log")
        stack.enter_context(Door(folder / "commands.log").spawn(argv, output=folder / "qemu.log", pass_fds=files))
        for end in theirs:
            end.close()  # a QEMU that dies is then an end of file here
        ours[0].settimeout(_ANSWER)
        wires = stack.enter_context(ours[0].makefile("rwb"))
        monitor = QEMUMonitorProtocol(ours[1])
        monitor.settimeout(_ANSWER)
        monitor.connect()
        stack.callback(_hang_up, monitor)
        yield Bench(wires, monitor, folder)


def _hang_up(monitor: QEMUMonitorProtocol) -> None:
    with contextlib.suppress(OSError, EOFError):  # the test has failed already if QEMU is gone
        monitor.close()
