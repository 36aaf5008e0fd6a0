"""One place: every scenario in its last nights as a grid."""

from __future__ import annotations

from collections.abc import Iterator

from harness.campaign.nightly.history import WINDOW
from harness.campaign.nightly.records import BAD, Result
from harness.report.site import charts
from harness.report.site.archive import Run, Track
from harness.report.site.charts import Column, Picture
from harness.report.site.marks import KINDS, SIGNS, TRENDS, when
from harness.report.site.pages.comparison import pair_page
from harness.report.site.site import Page, Site

_TIMES = 60  # runs in the chart of times


def pages(site: Site) -> Iterator[Page]:
    for track in site.archive.tracks:
        yield _page(site, track)


def _page(site: Site, track: Track) -> Page:
    shown = track.runs[-max(WINDOW, _TIMES) :]
    key = f"{track.name} {track} {[site.key(run) for run in shown]}"
    return Page(track.page, key, lambda: _render(site, track), site.archive.running)


def _render(site: Site, track: Track) -> str:
    runs = track.runs[-WINDOW:]
    results = [{each.scenario: each for each in run.results} for run in runs]
    names = sorted({name for of in results for name in of})
    rows = [(name, [of.get(name) for of in results]) for name in names]
    told = [run for run in runs if run.told]
    judged = site.judged[told[-1].cell.id] if told else {}
    return site.render(
        "place.html.j2",
        track.page,
        track=track,
        runs=runs,
        rows=sorted(rows, key=lambda row: not any(each and each.status in BAD for each in row[1])),
        judged=judged,
        others=[(run, pair_page(run, told[-1])) for run in told[:-1]] if told else [],
        newest=told[-1] if told else None,
        times=_times(track.runs[-_TIMES:]),
        signs=SIGNS,
        kinds=KINDS,
        trends=TRENDS,
        live=site.archive.running,
    )


def _times(runs: list[Run]) -> Picture | None:
    own = [run for run in runs if run.told and not run.cell.same]
    found = [
        Column(when(run.night.started, "short"), ((_kind(run.results), run.cell.seconds, _said(run)),)) for run in own
    ]
    return charts.columns(f"Time of the last {len(own)} runs that were measured", found, "s")


def _said(run: Run) -> str:
    return f"{when(run.night.started, 'day')}: {charts.amount(run.cell.seconds, 's')}, {run.cell.verdict}"


def _kind(results: tuple[Result, ...]) -> str:
    return "bad" if any(each.status in BAD for each in results) else "good"
