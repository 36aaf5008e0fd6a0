"""Where time goes: spans on lanes, one lane for each thread, counted from the start of the process.

Recording costs a few microseconds, so it is always on. harness/report/trace.py draws what was recorded.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Arg = str | int | float | bool  # what can be told beside a span's name


@dataclass(frozen=True)
class Span:
    """One piece of work."""

    name: str
    category: str  # phase, scenario, process, ...
    lane: str  # thread or worker that did it; spans of one lane can contain one another
    started: float  # seconds since the start of the run
    seconds: float | None  # wall time; None for a moment that has no length
    args: Mapping[str, Arg]  # what else is known


@dataclass
class Timeline:
    """Spans of one run, from all of its threads."""

    origin: float = field(default_factory=time.monotonic)  # when the run started, on the monotonic clock
    _spans: list[Span] = field(default_factory=list, repr=False)  # list.append() is safe between threads
    _thread: threading.local = field(default_factory=threading.local, repr=False)

    def now(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self.origin

    @property
    def here(self) -> str:
        """Lane of the calling thread."""
        return getattr(self._thread, "lane", "") or threading.current_thread().name

    @property
    def spans(self) -> tuple[Span, ...]:
        """What has ended so far, in the order in which it started; of equal ones, the longer first."""
        return tuple(sorted(self._spans, key=lambda span: (span.started, -(span.seconds or 0.0))))

    @contextlib.contextmanager
    def lane(self, name: str) -> Iterator[None]:
        """What the calling thread does inside of the block is on the lane ``name``."""
        before = getattr(self._thread, "lane", "")
        self._thread.lane = name
        try:
            yield
        finally:
            self._thread.lane = before

    @contextlib.contextmanager
    def span(self, name: str, category: str, **args: Arg) -> Iterator[None]:
        """The block is one piece of work; recorded even when it raises."""
        lane, started = self.here, self.now()
        try:
            yield
        finally:
            self.add(Span(name, category, lane, started, self.now() - started, args))

    def mark(self, name: str, category: str, **args: Arg) -> None:
        """A moment worth finding again."""
        self.add(Span(name, category, self.here, self.now(), None, args))

    def add(self, span: Span) -> None:
        """A span that was measured elsewhere."""
        self._spans.append(span)


def process_start() -> float:
    """When this process began, on the monotonic clock, to 10 ms; now, where /proc does not tell.

    What the interpreter and the imports take is over before our first line runs.
    """
    now = time.monotonic()
    try:
        # proc(5): field 22, in clock ticks after boot; the second field is in parentheses and may hold spaces
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return now
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return now - max(age, 0.0)
