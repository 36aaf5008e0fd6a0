"""How much runs at a time: guests of all kernels together, and builds beside them.

A guest that starves looks like one that hangs, so no more of them are busy than
the CPUs and the memory carry; and there are no more workers, each of which keeps a
machine, than that either: the next kernel's begin as those of the last one end.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_OVERHEAD = 2.0  # memory of a machine and what is kept for it, as a multiple of its guest's


class Slots:
    """``number`` guests may be busy at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._free = threading.Semaphore(number)
        self._workers = threading.Semaphore(number)  # who has waited longest comes first

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Something that keeps a CPU busy; waits for a free one."""
        with self._free:
            yield

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """A worker on any kernel; waits until another one's scenarios are over."""
        with self._workers:
            yield


def usual(guest_mib: int, meminfo: str | None = None) -> int:
    """How many guests with ``guest_mib`` MiB this machine carries: one for each CPU, as far as its memory goes."""
    cpus = len(os.sched_getaffinity(0))
    text = Path("/proc/meminfo").read_text() if meminfo is None else meminfo
    free = next((int(line.split()[1]) >> 10 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)
    return max(1, min(cpus, int(free / (_OVERHEAD * guest_mib))))
