"""kmemleak, made to answer soon.

It tells of memory that nothing points to only when that is five seconds old, since a pointer may for a moment be in a
register alone. A scenario is over when it is asked, so a tenth of a second does; the limit is a variable of the kernel.

It reads all memory that was allocated since boot, and with KASAN most of that is KASAN's own, which points to nothing
that leaks: the shadow (an eighth of the memory; arm64 leaves it out by itself, x86 does not) and a table of stacks, 16
MB of pointers. Each is allocated by one function of the boot; kmemleak is off while that runs.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from qemu.qmp.error import QMPError

from harness.machine import gdb
from harness.machine.vm import Vm
from harness.model import Kernel

FACT = "leak_ms"  # how long memory must be left alone before kmemleak tells of it; 0 without kmemleak
_VARIABLE = re.compile(r"^([0-9a-f]+) [bBdD] jiffies_min_age$", re.MULTILINE)
_BOTH = {"CONFIG_DEBUG_KMEMLEAK=y", "CONFIG_KASAN_GENERIC=y"}
_ENABLED = "kmemleak_enabled"  # 4 bytes, mm/kmemleak.c
# In the order of the boot: arch/*/mm/kasan_init*.c, lib/stackdepot.c.
_UNTRACKED = ("kasan_init", "stack_depot_early_init")
_FUNCTION = re.compile(rf"^([0-9a-f]+) \w ({'|'.join((_ENABLED, *_UNTRACKED))})$", re.MULTILINE)
_LOW = 0xFFFFFFFF
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


def lightened(vm: Vm, kernel: Kernel) -> None:
    """Carry a guest that has not begun so far through its boot that kmemleak knows nothing of KASAN's own memory.

    With kernels that lack either, nothing is done. Where it cannot be done each scan takes longer, and that is all.
    """
    if not set(kernel.config.read_text().splitlines()) >= _BOTH:
        return
    places = {name: int(address, 16) for address, name in _FUNCTION.findall(kernel.symbols.read_text())}
    if not places.keys() >= {_ENABLED, *_UNTRACKED}:
        return
    with contextlib.suppress(gdb.Refused, QMPError, OSError), gdb.words(vm) as words:
        for name in _UNTRACKED:
            words.run_to(places[name])
            back = words.return_address(vm.target.arch)
            before = words.read(places[_ENABLED])
            words.write(places[_ENABLED], before & ~_LOW)
            try:
                words.run_to(back)
            finally:
                words.write(places[_ENABLED], words.read(places[_ENABLED]) & ~_LOW | before & _LOW)


def _ticks(hz: int) -> int:
    return max(1, round(_SOON * hz))
