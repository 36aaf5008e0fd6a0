"""A run's time as a trace, which https://ui.perfetto.dev and chrome://tracing open.

The format is the JSON object of "Trace Event Format" (Google, the Catapult project,
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU): complete events ("X") and instant
events ("i") with times in microseconds, metadata events ("M") that name process and threads.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import InfraError
from harness.report import clean
from harness.timing import Span, Timeline


def write(timeline: Timeline, file: Path) -> None:
    """Raises InfraError when the file cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document(timeline.spans)) + "\n", encoding="utf-8")
    except OSError as error:
        raise InfraError(f"the timings cannot be written: {error}", "name another file") from error


@contextlib.contextmanager
def kept(timeline: Timeline, file: Path | None) -> Iterator[None]:
    """Write what there is when the block ends, however it does; its own error comes before one of writing."""
    try:
        yield
    except BaseException:
        if file is not None:
            with contextlib.suppress(InfraError):
                write(timeline, file)
        raise
    if file is not None:
        write(timeline, file)


def document(spans: Sequence[Span]) -> dict[str, Any]:
    """The trace as JSON values."""
    pid = os.getpid()
    events: list[dict[str, Any]] = [_named("process_name", pid, 0, "kph")]
    rows = _rows(spans)
    for tid, (name, row) in enumerate(rows, 1):
        events += [_named("thread_name", pid, tid, name), _sorted(pid, tid)]
        events += [_event(span, pid, tid) for span in row]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _rows(spans: Iterable[Span]) -> tuple[tuple[str, tuple[Span, ...]], ...]:
    """Name and spans of each row, in order of their first span.

    A viewer stacks what is inside of each other, and draws nothing that overlaps in part: a machine that is started in
    the phase boot and outlives it has a second row of the same lane.
    """
    lanes: dict[str, list[_Row]] = {}
    for span in spans:
        rows = lanes.setdefault(span.lane, [])
        if not any(row.take(span) for row in rows):
            rows.append(_Row())
            rows[-1].take(span)
    return tuple(
        (lane if not number else f"{lane} ({number + 1})", tuple(row.spans))
        for lane, rows in lanes.items()
        for number, row in enumerate(rows)
    )


@dataclass
class _Row:
    """Spans that are inside of or after each other, in the order in which they start."""

    spans: list[Span] = field(default_factory=list)
    _open: list[float] = field(default_factory=list)  # when those that still run end, the innermost last

    def take(self, span: Span) -> bool:
        """Add ``span`` if it fits."""
        while self._open and self._open[-1] <= span.started:
            self._open.pop()
        if self._open and _end(span) > self._open[-1]:
            return False
        self.spans.append(span)
        self._open.append(_end(span))
        return True


def _end(span: Span) -> float:
    return span.started + (span.seconds or 0.0)


def _event(span: Span, pid: int, tid: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "name": clean.line(span.name),
        "cat": clean.line(span.category),
        "ph": "X",
        "ts": _micro(span.started),
        "pid": pid,
        "tid": tid,
        "args": {
            name: clean.line(value) if isinstance(value, str) else value
            for name, value in span.args.items()
            if not isinstance(value, float) or math.isfinite(value)
        },
    }
    if span.seconds is None:
        return {**event, "ph": "i", "s": "t"}  # a mark in its thread
    return {**event, "dur": _micro(_end(span)) - event["ts"]}  # ends agree where they are equal


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": clean.line(name)}}


def _sorted(pid: int, tid: int) -> dict[str, Any]:
    return {"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": tid}}


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
