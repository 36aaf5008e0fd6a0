"""A guest's memory as QEMU's monitor tells of it: by kernel address, at once, however large."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from harness.machine.vm import Vm

_GPA = re.compile(r"gpa: (0x[0-9a-f]+)")


def block(vm: Vm, address: int, size: int) -> bytes:
    """``size`` bytes from the kernel address ``address`` on. Raises what ``Vm.qmp`` raises where nothing is mapped."""
    with tempfile.TemporaryDirectory(prefix="kph-") as folder:
        file = Path(folder) / "block"
        vm.qmp("memsave", val=address, size=size, filename=str(file))
        return file.read_bytes()


def physical(vm: Vm, address: int) -> int | None:
    """The physical address of a kernel address; None where nothing is mapped. Raises what ``Vm.qmp`` raises."""
    said = vm.qmp("human-monitor-command", **{"command-line": f"gva2gpa {address:#x}"})
    found = _GPA.match(str(said))
    return int(found[1], 16) if found else None
