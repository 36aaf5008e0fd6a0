"""kmemleak, made to answer soon.

It tells of memory that nothing points to only when that is five seconds old, since a pointer may for a moment be in a
register alone. A scenario is over when it is asked, so a tenth of a second does; the limit is a variable of the kernel.

It reads all memory that the kernel has allocated, and with KASAN most of that is KASAN's own, which points to nothing
that leaks: a table of stacks, 16 MB of pointers, and on x86 the shadow, an eighth of the memory (arm64 leaves that out
by itself, arch/arm64/mm/kasan_init.c: MEMBLOCK_ALLOC_NOLEAKTRACE). It has a flag for what it need not read.

It takes the lock of each object several times in a scan, and lockdep makes a quarter of the scan's time of that.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from qemu.qmp.error import QMPError

from harness.build import kconfig
from harness.machine import gdb, memory
from harness.machine.vm import Vm
from harness.model import Kernel

SCAN = "scan_leaks"  # the agent's operation
FACT = "leak_ms"  # how long memory must be left alone before kmemleak tells of it; 0 without kmemleak
_USUAL = 5  # seconds; mm/kmemleak.c: MSECS_MIN_AGE
_SOON = 0.1  # seconds
_SURE_MS = 150  # with what a tick is late

# struct kmemleak_object in words, from its flags to its size (mm/kmemleak.c; the same in Linux 7.2 and 7.3). The flags
# are half a word, the second half unless the lock before them ends with a word, as it does with lockdep.
_NEXT, _POINTER, _SIZE = 1, 11, 12
_FLAGS = 1 << 0 | 1 << 4  # OBJECT_ALLOCATED, OBJECT_PHYS: what memblock gave out, and nothing else is set
_NO_SCAN = 1 << 2  # OBJECT_NO_SCAN
_SHADOW = 2 << 20  # bytes; x86 maps the shadow in blocks of this size (arch/x86/mm/kasan_init_64.c)
_SCALE = 3  # a byte of shadow is for eight (KASAN_SHADOW_SCALE_SHIFT)
_WORD = 8  # bytes
_HALF = (1 << 32) - 1
_DIGITS = 16  # of an address in a System.map


def hastened(vm: Vm, kernel: Kernel, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """``facts``, and a kernel that tells of leaks soon; as they are where that cannot be done.

    And one that does not read KASAN's own memory, where it has any.
    """
    if not facts.get(FACT):
        return facts
    image = _Image(kernel)
    age, hz = image.variable("jiffies_min_age"), image.number("HZ")
    if age is None or hz is None:
        return facts
    try:
        with gdb.words(vm) as words:
            if words.read(age) not in (_USUAL * hz, _ticks(hz)):
                return facts  # not what we think it is
            words.write(age, _ticks(hz))
            with contextlib.suppress(gdb.Refused, QMPError):  # then scans take longer, and that is all
                for place, flags in _own_memory(vm, words, image):
                    words.write(place, flags)
    except (gdb.Refused, QMPError, OSError):
        return facts
    return {**facts, FACT: _SURE_MS}


def lockdep_off(vm: Vm, kernel: Kernel) -> None:
    """Lockdep off for good, for the scan that ends a guest's life; where that cannot be done the scan takes longer."""
    place = _lockdep(kernel)
    if place is None:
        return
    with contextlib.suppress(gdb.Refused, QMPError, OSError), gdb.words(vm) as words:
        words.write(place, words.read(place) & ~_HALF)


@functools.lru_cache(maxsize=8)
def _lockdep(kernel: Kernel) -> int | None:
    """Where the variable is that lockdep looks at first (lib/debug_locks.c, an int); None without lockdep."""
    image = _Image(kernel)
    return image.variable("debug_locks") if image.options.get("CONFIG_LOCKDEP") == "y" else None


class _Image:
    """Addresses and options of a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._symbols = kernel.symbols.read_text()
        self.options = kconfig.options(kernel.config.read_text())

    def variable(self, name: str) -> int | None:
        span = self.span(name)
        return span and span[0]

    def span(self, name: str) -> tuple[int, int] | None:
        """Where the variable ``name`` begins, and where the next symbol does; None unless it is the only one."""
        found = [line for kind in "bBdD" for line in self._lines(f" {kind} {name}\n")]
        return found[0] if len(found) == 1 else None

    def _lines(self, end: str) -> Iterator[tuple[int, int]]:
        at = self._symbols.find(end)
        while at >= 0:
            begin, following = self._symbols.rfind("\n", 0, at) + 1, at + len(end)
            address, successor = self._symbols[begin:at], self._symbols[following : following + _DIGITS]
            yield int(address, 16), int(successor or address, 16)
            at = self._symbols.find(end, following)

    def number(self, name: str) -> int | None:
        """What CONFIG_<name> is; None where the kernel does not have it."""
        value = self.options.get(f"CONFIG_{name}")
        return int(value, 0) if value not in (None, "n") else None


def _own_memory(vm: Vm, words: gdb.Words, image: _Image) -> Iterator[tuple[int, int]]:
    """What to write, and where, so that kmemleak does not read KASAN's own memory.

    Nothing where an object of it does not look as we think.
    """
    table, pool, shadow = image.variable("stack_table"), image.span("mem_pool"), image.number("KASAN_SHADOW_OFFSET")
    if table is None or pool is None or shadow is None:
        return
    stacks = words.read(table)
    physical = memory.physical(vm, stacks)
    if physical is None:
        return
    linear = stacks - physical  # where the kernel has all memory
    blocks = {
        memory.physical(vm, ((linear + at) >> _SCALE) + shadow & (1 << 64) - 1)
        for at in range(0, vm.target.memory_mib << 20, _SHADOW << _SCALE)
    }
    # Objects of the boot, before there is an allocator, are in an array.
    begin, end = pool
    raw = memory.block(vm, begin, end - begin)
    array = struct.unpack(f"<{len(raw) // _WORD}Q", raw[: len(raw) // _WORD * _WORD])
    for place in range(len(array) - _SIZE):
        pointer, size = array[place + _POINTER], array[place + _SIZE]
        if not (pointer == physical or (pointer in blocks and size == _SHADOW)):
            continue
        where = begin + place * _WORD
        if words.read(array[place + _NEXT] + _WORD) == where + _WORD:  # its successor's predecessor
            low, high = array[place] & _HALF, array[place] >> 32
            if (low, high) == (_FLAGS, 0):
                yield where, low | _NO_SCAN
            elif high == _FLAGS:
                yield where, low | (high | _NO_SCAN) << 32


def _ticks(hz: int) -> int:
    return max(1, round(_SOON * hz))
