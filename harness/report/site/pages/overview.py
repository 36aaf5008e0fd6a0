"""The first page: the last nights as a grid, what is new in the last one, and the nights as charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.campaign.nightly.records import BAD, CellState, Night, NightState
from harness.report.site import charts
from harness.report.site.archive import Archive, Run, Track
from harness.report.site.charts import Column, Picture
from harness.report.site.marks import when
from harness.report.site.site import Page, Site
from harness.report.site.trends import News

NAME = "index.html"
_GRID = 18  # nights in the grid
_CHART = 60  # nights in a chart
_LIST = 15  # scenarios of a kind that are listed here; the night's page has all


@dataclass(frozen=True)
class Row:
    """A place in the last nights."""

    track: Track
    runs: tuple[Run | None, ...]  # one for each night of the grid


@dataclass(frozen=True)
class Section:
    """The nights of one name."""

    name: str
    nights: tuple[Night, ...]  # of the grid
    rows: tuple[Row, ...]
    last: Night  # the newest that says something
    news: News
    cut: tuple[Night, ...]  # of the grid, ended before their time
    charts: tuple[Picture, ...]
    total: int  # nights there are


def pages(site: Site) -> Iterator[Page]:
    keys = [site.key(run) for night in site.archive.nights[-_CHART:] for run in site.archive.of_night[night.id]]
    key = f"{[*map(repr, site.archive.nights)]} {keys}"
    yield Page(NAME, key, lambda: _render(site), live=site.archive.running)


def _render(site: Site) -> str:
    sections = [_section(site, name) for name in site.archive.names]
    return site.render("overview.html.j2", NAME, sections=sections, most=_LIST, live=site.archive.running)


def _section(site: Site, name: str) -> Section:
    named = site.archive.named(name)
    shown = named[-_GRID:]
    tracks = [track for track in site.archive.tracks if track.name == name]
    rows = (Row(track, tuple(_in(track, night) for night in shown)) for track in tracks)
    last = last_told(site.archive, named)
    return Section(
        name=name,
        nights=shown,
        rows=tuple(row for row in rows if any(row.runs)),
        last=last,
        news=site.news(last),
        cut=tuple(night for night in shown if night.state is NightState.CUT),
        charts=tuple(_charts(site.archive, named[-_CHART:])),
        total=len(named),
    )


def last_told(archive: Archive, nights: Sequence[Night]) -> Night:
    """The newest of ``nights`` of which a run has results, or the newest."""
    told = (night for night in reversed(nights) if any(run.told for run in archive.of_night[night.id]))
    return next(told, nights[-1])


def _in(track: Track, night: Night) -> Run | None:
    return next((run for run in reversed(track.runs) if run.night.id == night.id), None)


# --- charts ------------------------------------------------------------------------
_RESULTS = (("good", "pass"), ("bad", "bad"), ("skip", "skipped"), ("error", "no evidence"))
_STATES = (
    ("good", "run", (CellState.DONE,)),
    ("soft", "unchanged", (CellState.UNCHANGED,)),
    ("skip", "dropped", (CellState.DROPPED,)),
    ("error", "failed", (CellState.FAILED,)),
    ("none", "not run yet", (CellState.PLANNED, CellState.RUNNING)),
)


def _charts(archive: Archive, nights: Sequence[Night]) -> Iterator[Picture]:
    found = [(night, archive.of_night[night.id]) for night in nights]
    for label, columns, unit in (
        (
            "Results: scenarios that passed, failed, were skipped or gave no evidence",
            [_results(*of) for of in found],
            "",
        ),
        ("Coverage: what the nights came to, of the runs that were planned", [_coverage(*of) for of in found], ""),
        ("Time: what the runs of each night took", [_time(*of) for of in found], "s"),
    ):
        picture = charts.columns(f"{label}; {len(found)} nights", columns, unit)
        if picture:
            yield picture


def _results(night: Night, runs: Sequence[Run]) -> Column:
    counts = dict.fromkeys(("good", "bad", "skip", "error"), 0)
    for run in runs:
        for result in run.results:
            bad = result.status in BAD
            kind = "bad" if bad else {"pass": "good", "skip": "skip"}.get(result.status, "error")
            counts[kind] += 1
    return _column(night, [(kind, counts[kind], word) for kind, word in _RESULTS])


def _coverage(night: Night, runs: Sequence[Run]) -> Column:
    counts = [(kind, sum(run.cell.state in states for run in runs), word) for kind, word, states in _STATES]
    return _column(night, counts)


def _time(night: Night, runs: Sequence[Run]) -> Column:
    seconds = sum(run.cell.seconds for run in runs if not run.cell.same)
    day = when(night.started, "day")
    return Column(when(night.started, "short"), (("soft", seconds, f"{day}: {charts.amount(seconds, 's')}"),))


def _column(night: Night, counts: Sequence[tuple[str, int, str]]) -> Column:
    day = when(night.started, "day")
    parts = tuple((kind, float(number), f"{day}: {number} {word}") for kind, number, word in counts)
    return Column(when(night.started, "short"), parts)
