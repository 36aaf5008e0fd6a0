"""The history as the pages need it: each run with its night, its neighbours and its bisections, read at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.cache import digest
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Bisected, Cell, CellState, Night, NightState, Place, Result
from harness.report.site import names

_WITH_RESULTS = (CellState.DONE, CellState.UNCHANGED)


@dataclass(eq=False)
class Track:
    """One place under one name of nights: what is compared from night to night."""

    name: str  # of the nights
    place: Place
    slug: str  # in file names
    runs: list[Run] = field(default_factory=list)  # the oldest first
    bisected: list[Bisected] = field(default_factory=list)  # the oldest first

    def __str__(self) -> str:
        return str(self.place)

    @property
    def page(self) -> str:
        return f"place/{self.slug}.html"

    def timeline(self, scenario: str) -> str:
        """Page of one scenario at this track."""
        return f"scenario/{self.slug}/{names.slug(scenario)}.html"


@dataclass(eq=False)
class Run:
    """One cell of the history, and what it is connected with."""

    cell: Cell
    night: Night
    track: Track
    results: tuple[Result, ...]  # its own, or those of the run whose inputs it shares
    own: Run | None  # the run whose results these are; None: this one's
    before: Run | None  # the last one before at this track with results
    bisections: tuple[Bisected, ...]
    content: str  # digest of what it found
    key: str  # digest of all that a page tells of it but its trends

    @property
    def told(self) -> bool:
        """It has results."""
        return self.cell.state in _WITH_RESULTS

    @property
    def page(self) -> str:
        return f"run/{self.cell.id}.html"

    @property
    def bad(self) -> tuple[Result, ...]:
        """Results that count against the kernel."""
        return tuple(each for each in self.results if each.status in BAD)

    def result(self, scenario: str) -> Result | None:
        return next((each for each in self.results if each.scenario == scenario), None)


@dataclass(frozen=True)
class Archive:
    """All nights, or those of one name."""

    nights: tuple[Night, ...]  # the oldest first
    tracks: tuple[Track, ...]  # sorted by place
    runs: dict[int, Run]  # by the cell's id, the oldest first
    of_night: dict[int, tuple[Run, ...]]  # by the night's id

    @property
    def names(self) -> tuple[str, ...]:
        """Of nights; those of the newest night first."""
        return tuple(dict.fromkeys(night.name for night in reversed(self.nights)))

    def named(self, name: str) -> tuple[Night, ...]:
        """Nights of this name, the oldest first."""
        return tuple(night for night in self.nights if night.name == name)

    @property
    def running(self) -> bool:
        """A night is under way."""
        return any(night.state is NightState.RUNNING for night in self.nights)


def read(history: History, name: str = "") -> Archive:
    """Everything in the history, or the nights called ``name``.

    A night may be writing: what of it was there a moment ago is read, and each cell with all its results or none.
    """
    nights = {night.id: night for night in history.nights(name)}
    cells = [cell for cell in history.every_cell() if cell.night in nights]
    results = _by_cell(history.every_result())
    bisections: dict[int, list[Bisected]] = defaultdict(list)
    for found in history.bisections():
        bisections[found.cell].append(found)
    tracks = _tracks(nights, cells)
    runs: dict[int, Run] = {}
    last: dict[Track, Run] = {}
    for cell in cells:
        night = nights[cell.night]
        track = tracks[night.name, cell.place]
        run = _run(cell, night, track, results, runs, last.get(track), tuple(bisections[cell.id]))
        runs[cell.id] = run
        track.runs.append(run)
        track.bisected += run.bisections
        if run.told:
            last[track] = run
    of_night: dict[int, list[Run]] = {number: [] for number in nights}
    for run in runs.values():
        of_night[run.night.id].append(run)
    ordered = tuple(sorted(tracks.values(), key=lambda track: (track.name, str(track.place))))
    return Archive(tuple(nights.values()), ordered, runs, {number: tuple(of) for number, of in of_night.items()})


def _run(
    cell: Cell,
    night: Night,
    track: Track,
    results: dict[int, tuple[Result, ...]],
    runs: dict[int, Run],
    before: Run | None,
    bisections: tuple[Bisected, ...],
) -> Run:
    has = results.get(cell.same or cell.id, ()) if cell.state in _WITH_RESULTS else ()
    own = runs.get(cell.same) if cell.same else None
    content = digest(repr(cell), own.content if own else repr(has))
    key = digest(content, repr(night), repr(bisections), before.content if before else "")
    return Run(cell, night, track, has, own, before, bisections, content, key)


def _by_cell(results: Iterable[Result]) -> dict[int, tuple[Result, ...]]:
    found: dict[int, list[Result]] = defaultdict(list)
    for result in results:
        found[result.cell].append(result)
    return {cell: tuple(of) for cell, of in found.items()}


def _tracks(nights: dict[int, Night], cells: Sequence[Cell]) -> dict[tuple[str, Place], Track]:
    found: dict[tuple[str, Place], Track] = {}
    for cell in cells:
        name = nights[cell.night].name
        if (name, cell.place) not in found:
            place = cell.place
            words = (name, place.tree, place.series, place.target, place.flavour, place.suite)
            found[name, place] = Track(name, place, names.slug(*words))
    return found
