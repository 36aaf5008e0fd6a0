"""QEMU's trace log as events: what the emulated hardware itself saw.

Linux rate-limits its DMAR messages and the VT-d model has one fault record, so
a missing line on the console proves nothing; the trace does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.scenario.link import TraceEvent

LOOKED_AT = 32 << 20  # bytes of events that are read at a time; hardware that is told to fault for ever writes more
_PAIR = re.compile(r"([A-Za-z_]\w*)[ =:]+(0x[0-9a-fA-F]+|-?\d+)\b")


def parse_event(line: str) -> TraceEvent | None:
    """One line of QEMU's log backend: the event's name, then words and values as its format string has them."""
    name, _, rest = line.strip().partition(" ")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        return None
    fields = {key: int(value, 0) for key, value in _PAIR.findall(rest)}
    return TraceEvent(name, fields)


def unknown(names: Iterable[str], said: str) -> tuple[str, ...]:
    """Those of the events ``names`` that QEMU does not have, by what it ``said`` at its start: it warns and goes on."""
    return tuple(name for name in names if f"trace event '{name}' " in said)


class TraceLog:
    """The file that QEMU appends to."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def mark(self) -> int:
        """The place where the next event will be."""
        return self.file.stat().st_size if self.file.exists() else 0

    def since(self, mark: int) -> Sequence[TraceEvent]:
        """Events after ``mark``; a line that is still being written waits for the next call."""
        if not self.file.exists():
            return ()
        with self.file.open("rb") as source:
            source.seek(mark)
            whole, _, _ = source.read(LOOKED_AT).rpartition(b"\n")
        events = (parse_event(line) for line in whole.decode(errors="replace").splitlines())
        return tuple(event for event in events if event is not None)
