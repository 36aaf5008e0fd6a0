"""kmemleak, made to answer soon.

It tells of memory that nothing points to only when that is five seconds old, since a pointer may for a moment be in a
register alone. A scenario is over when it is asked, so a tenth of a second does; the limit is a variable of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qemu.qmp.error import QMPError

from harness.machine import gdb
from harness.machine.vm import Vm
from harness.model import Kernel

FACT = "leak_ms"  # how long memory must be left alone before kmemleak tells of it; 0 without kmemleak
_VARIABLE = re.compile(r"^([0-9a-f]+) [bBdD] jiffies_min_age$", re.MULTILINE)
_HZ = re.compile(r"^CONFIG_HZ=(\d+)$", re.MULTILINE)
_USUAL = 5  # seconds; mm/kmemleak.c: MSECS_MIN_AGE
_SOON = 0.1  # seconds
_SURE_MS = 150  # with what a tick is late


def hastened(vm: Vm, kernel: Kernel, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """``facts``, and a kernel that tells of leaks soon; as they are where that cannot be done."""
    if not facts.get(FACT):
        return facts
    variable, hz = _VARIABLE.search(kernel.symbols.read_text()), _HZ.search(kernel.config.read_text())
    if variable is None or hz is None:
        return facts
    address, ticks = int(variable[1], 16), int(hz[1])
    try:
        with gdb.words(vm) as words:
            age = words.read(address)
            if age not in (_USUAL * ticks, _ticks(ticks)):
                return facts  # not what we think it is
            words.write(address, _ticks(ticks))
    except (gdb.Refused, QMPError, OSError):
        return facts
    return {**facts, FACT: _SURE_MS}


def _ticks(hz: int) -> int:
    return max(1, round(_SOON * hz))
