"""What every form says of a night: its cells, and which scenarios are new, fixed, flaky, failing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Bisected, Cell, CellState, Night, NightState, Place, Result, Trend
from harness.campaign.nightly.records import Verdict as Judged

_LOGIN = re.compile(r"^([\w+.-]+://)[^/]*@")
_UNDECIDED = (CellState.PLANNED, CellState.RUNNING)


class Exit(IntEnum):
    """Exit status of a night."""

    FINE = 0  # nothing fails that did not fail before
    NEWLY_WRONG = 1
    NO_EVIDENCE = 3  # nothing new is known to be wrong, but the harness or the host failed, or the night was cut


@dataclass(frozen=True)
class Line:
    """One scenario in one cell."""

    cell: Cell
    result: Result
    trend: Trend  # as of this night
    since: str  # when that began: started of a night
    rate: float  # share of failures over the last nights
    bisected: Bisected | None

    @property
    def bad(self) -> bool:
        """Whether it failed, and that counts."""
        return self.result.status in BAD and not self.result.quarantined

    @property
    def steady(self) -> bool:
        """Whether every run of the night said the same, and no other night says that it comes and goes."""
        return self.trend is not Trend.FLAKY and len(set(self.result.tries)) <= 1


@dataclass(frozen=True)
class Series:
    """A series of the night, over all its cells."""

    name: str
    cells: tuple[Cell, ...]
    doubt: str  # why nobody may put a Tested-by under it; empty when it passed on every cell
    alike: tuple[str, ...] = ()  # scenarios that fail with it as they do without it, which is not its fault


@dataclass(frozen=True)
class Facts:
    """A night as the forms see it."""

    night: Night
    cells: tuple[Cell, ...]  # in the order in which they were planned
    lines: tuple[Line, ...]  # of the cells that have results, cell after cell
    verdicts_before: Mapping[Place, str]  # what the cell before each cell came to; none where there is none

    def of(self, cell: Cell) -> tuple[Line, ...]:
        """The scenarios of one cell."""
        return tuple(line for line in self.lines if line.cell.id == cell.id)

    @property
    def new(self) -> tuple[Line, ...]:
        """Failed tonight, and not the time before; or there was none. As the night itself tells them."""
        return self._those(lambda line: line.bad and self._began(line))

    @property
    def failing(self) -> tuple[Line, ...]:
        """Failed tonight and before."""
        return self._those(lambda line: line.bad and line.trend is Trend.FAILING and not self._began(line))

    @property
    def fixed(self) -> tuple[Line, ...]:
        """Passed tonight, and failed before."""
        return self._those(lambda line: line.trend is Trend.FIXED)

    @property
    def flaky(self) -> tuple[Line, ...]:
        """Fail and pass without a change of what is tested."""
        return self._those(lambda line: line.trend is Trend.FLAKY and not line.result.quarantined)

    @property
    def quarantined(self) -> tuple[Line, ...]:
        """Failures that do not count."""
        return self._those(lambda line: line.result.status in BAD and bool(line.result.quarantined))

    @property
    def dropped(self) -> tuple[Cell, ...]:
        """There was no time for these."""
        return tuple(cell for cell in self.cells if cell.state is CellState.DROPPED)

    @property
    def silent(self) -> tuple[Cell, ...]:
        """Of these nothing is known, by no fault of a kernel's."""
        return tuple(cell for cell in self.cells if cell.state is CellState.FAILED or cell.verdict == "error")

    @property
    def series(self) -> tuple[Series, ...]:
        """Every series of the night."""
        names = dict.fromkeys(cell.place.series for cell in self.cells if cell.place.series)
        return tuple(self._series(name) for name in names)

    @property
    def exit(self) -> Exit:
        """What the night says as an exit status."""
        if self.new or any(self._newly(cell) for cell in self.cells):
            return Exit.NEWLY_WRONG
        cut = self.night.state is NightState.CUT or any(cell.state in _UNDECIDED for cell in self.cells)
        return Exit.NO_EVIDENCE if self.silent or cut else Exit.FINE

    def _newly(self, cell: Cell) -> bool:
        """A cell can fail without a scenario of its own, as by a splat in boot."""
        return cell.verdict == "fail" and self.verdicts_before.get(cell.place) == "pass"

    def _began(self, line: Line) -> bool:
        """Whether the failure began in this night."""
        first = line.trend is Trend.FAILING and line.since == self.night.started and not line.cell.same
        return line.trend is Trend.NEW_FAILURE or first

    def _those(self, wanted: Callable[[Line], bool]) -> tuple[Line, ...]:
        return tuple(filter(wanted, self.lines))

    def _series(self, name: str) -> Series:
        cells = tuple(cell for cell in self.cells if cell.place.series == name)
        lines = (line.result for cell in cells for line in self.of(cell))
        alike = dict.fromkeys(result.scenario for result in lines if result.status in BAD and result.base in BAD)
        return Series(name, cells, next(self._doubts(cells), ""), tuple(alike))

    def _doubts(self, cells: tuple[Cell, ...]) -> Iterator[str]:
        if self.night.state is not NightState.DONE:
            yield "the night has not ended"
        for cell in cells:
            if cell.state not in (CellState.DONE, CellState.UNCHANGED):
                yield f"{cell.place}: {cell.state}{f' ({cell.reason})' if cell.reason else ''}"
            elif cell.verdict != "pass":
                yield f"{cell.place}: {cell.verdict or 'no verdict'}{f' ({cell.reason})' if cell.reason else ''}"
            for line in self.of(cell):
                if line.result.status in BAD and line.result.quarantined:
                    yield f"{cell.place}: {line.result.scenario} is quarantined"
                elif not line.steady:
                    yield f"{cell.place}: {line.result.scenario} is flaky"


def shown(address: str) -> str:
    """The address of a tree without a user's name, password or token: reports go to others."""
    return _LOGIN.sub(r"\1", address)


def of(history: History, night: Night) -> Facts:
    """Read the night."""
    cells = tuple(history.cells(night.id))
    verdicts = {(each.place, each.scenario): each for each in history.verdicts(night.name, until=night.id)}
    lines = tuple(line for cell in cells for line in _lines(history, cell, verdicts))
    before = {cell.place: each.verdict for cell in cells for each in history.last(cell.place, night.id)}
    return Facts(night, cells, lines, before)


def _lines(history: History, cell: Cell, verdicts: Mapping[tuple[Place, str], Judged]) -> Iterator[Line]:
    if cell.state not in (CellState.DONE, CellState.UNCHANGED):
        return
    # What was not run again is explained where it was run.
    found = {each.scenario: each for each in history.bisections(cell.same or cell.id)}
    for result in history.results(cell):
        judged = verdicts.get((cell.place, result.scenario))
        told = (judged.trend, judged.since, judged.rate) if judged else (Trend.UNKNOWN, "", 0.0)
        yield Line(cell, result, *told, found.get(result.scenario))
