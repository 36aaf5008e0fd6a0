"""Where the time went: a line for each phase, what is inside of another one below it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from harness.model import Phase, RunResult
from harness.report import clean, words
from harness.report.page import Page

_SMALL = 0.01  # of the whole: phases below it share a line, or are part of the one around them only


@dataclass
class _Line:
    """Phases of one name, target and side, inside of the same one."""

    name: str
    target: str
    side: str
    depth: int  # 0: inside of none
    phases: list[Phase] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(map(_seconds, self.phases))

    @property
    def note(self) -> str:
        return ", ".join(dict.fromkeys(filter(None, (phase.note for phase in self.phases))))


def draw(page: Page, result: RunResult) -> None:
    """The table and an empty line; nothing for a run without phases."""
    if not result.phases:
        return
    whole = max(_finite(result.seconds), *map(_end, result.phases))
    several = words.several(result)
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("TIME", *(("TARGET",) if several else ()), "KERNEL"):
        table.add_column(head, overflow="fold")
    for head in ("SECONDS", "SHARE"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    lines = _lines(result.phases)
    small = [line for line in lines if not line.depth and line.seconds < _SMALL * whole]
    for line in lines:
        if line.seconds >= _SMALL * whole:
            _add(table, line, whole, several)
    if small:
        names = ", ".join(dict.fromkeys(line.name for line in small))
        _add(table, _single("others", sum(line.seconds for line in small), names), whole, several)
    idle = whole - _covered(result.phases)
    if idle >= _SMALL * whole > 0:
        _add(table, _single("elsewhere", idle, "in no phase"), whole, several)
    total = sum(line.seconds for line in lines if not line.depth)
    note = "phases overlap" if total > (1 + _SMALL) * whole else ""
    _add(table, _single("whole run", whole, note), whole, several)
    page.table(table)
    page.line()


def _single(name: str, seconds: float, note: str) -> _Line:
    return _Line(name, "", "", 0, [Phase(name, "", seconds, note)])


def _add(table: Table, line: _Line, whole: float, several: bool) -> None:
    times = f" x{len(line.phases)}" if len(line.phases) > 1 else ""
    cells = [f"{'  ' * line.depth}{clean.line(line.name)}{times}", *([clean.line(line.target)] if several else [])]
    share = f"{line.seconds / whole:.0%}" if whole else ""
    cells += [line.side, f"{line.seconds:.1f}", share, clean.line(line.note)]
    table.add_row(*map(Text, cells))


def _lines(phases: Iterable[Phase]) -> tuple[_Line, ...]:
    """In the order in which they started, each before what is inside of it."""
    ordered = sorted(phases, key=lambda phase: (_finite(phase.started), -_seconds(phase)))
    lines: list[_Line] = []
    for phase in ordered:
        around = _around(phase, lines)
        depth = lines[around].depth + 1 if around is not None else 0
        _line_for(phase, depth, lines, around).phases.append(phase)
    return tuple(lines)


def _line_for(phase: Phase, depth: int, lines: list[_Line], around: int | None) -> _Line:
    """The line of its like, or a new one at the end of what is inside of line ``around``."""
    place = len(lines)
    if around is not None:
        place = around + 1
        while place < len(lines) and lines[place].depth >= depth:
            place += 1
    for line in lines[0 if around is None else around + 1 : place]:
        if (line.name, line.target, line.side, line.depth) == (phase.name, phase.target, phase.side, depth):
            return line
    lines.insert(place, _Line(phase.name, phase.target, phase.side, depth))
    return lines[place]


def _around(phase: Phase, lines: Sequence[_Line]) -> int | None:
    """The innermost line that ``phase`` is part of."""
    within = (number for number, line in enumerate(lines) if any(_inside(phase, other) for other in line.phases))
    return max(within, key=lambda number: lines[number].depth, default=None)


def _inside(phase: Phase, other: Phase) -> bool:
    """Done as part of ``other``: in its thread, or in one of several for the same kernel."""
    kernel = bool(phase.side) and (phase.target, phase.side) == (other.target, other.side)
    same = bool(phase.lane) and phase.lane == other.lane
    return (same or kernel) and _finite(other.started) <= _finite(phase.started) and _end(phase) <= _end(other)


def _covered(phases: Iterable[Phase]) -> float:
    """Seconds in which any phase was under way."""
    covered = until = 0.0
    for phase in sorted(phases, key=lambda phase: _finite(phase.started)):
        covered += max(_end(phase) - max(_finite(phase.started), until), 0.0)
        until = max(until, _end(phase))
    return covered


def _end(phase: Phase) -> float:
    return _finite(phase.started) + _seconds(phase)


def _seconds(phase: Phase) -> float:
    return max(_finite(phase.seconds), 0.0)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
