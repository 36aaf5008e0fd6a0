"""Time as a guest has it: what a busy host takes away from it is not the guest's."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_NANOSECOND = 1e-9


class GuestClock:
    """Seconds in which a machine could run: wall time less that in which it waited for a CPU of the host.

    The kernel counts for each thread how long it was ready to run and did not (Documentation/scheduler/sched-stats.rst,
    /proc/<pid>/schedstat). A guest stands still as soon as one thread of its machine does, so of all threads the one
    that waited longest counts. Where the host's kernel does not count, it is plain wall time.
    """

    def __init__(self, threads: Iterable[int] = (), wall: Callable[[], float] = time.monotonic) -> None:
        """``threads``: ids of the threads that the guest needs in order to go on. ``wall``: what else would be used."""
        self._wall = wall
        self._files: list[int] = []
        for thread in threads:
            with contextlib.suppress(OSError):
                self._files.append(os.open(Path(f"/proc/{thread}/schedstat"), os.O_RDONLY))
        self._delays = [self._delay(file) for file in self._files]
        self._seen = wall()
        self._lost = 0.0  # seconds that the host kept from the guest so far

    def now(self) -> float:
        """Seconds since some moment; never runs back."""
        delays = [self._delay(file) for file in self._files]
        wall = self._wall()
        waited = max((new - old for new, old in zip(delays, self._delays, strict=True)), default=0.0)
        self._lost += min(max(waited, 0.0), wall - self._seen)
        self._delays, self._seen = delays, wall
        return wall - self._lost

    def sleep(self, seconds: float) -> None:
        """Wait, by the wall's time."""
        time.sleep(seconds)

    def close(self) -> None:
        """Let go of the threads; from then on it is wall time."""
        for file in self._files:
            os.close(file)
        self._files, self._delays = [], []

    def _delay(self, file: int) -> float:
        """Seconds that a thread has waited for a CPU since it began; 0 when it is gone."""
        try:
            fields = os.pread(file, 100, 0).split()
            return int(fields[1]) * _NANOSECOND
        except (OSError, IndexError, ValueError):
            return 0.0
