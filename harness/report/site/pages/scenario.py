"""One scenario at one place over all nights, with its first bad commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.cache import digest
from harness.campaign.nightly.records import BAD
from harness.report.site import charts, names, rows
from harness.report.site.archive import Run, Track
from harness.report.site.charts import Column, Picture
from harness.report.site.marks import KINDS, SIGNS, TRENDS, when
from harness.report.site.rows import Point
from harness.report.site.site import Page, Site

_CHART = 60  # nights in the chart


@dataclass(frozen=True)
class Turn:
    """Between two nights it became bad, or good again."""

    good: Run
    bad: Run
    mended: bool  # the good one is the newer


def pages(site: Site) -> Iterator[Page]:
    for track in site.archive.tracks:
        points: dict[str, list[Point]] = {}
        for run in track.runs:
            for result in run.results:
                points.setdefault(result.scenario, []).append((run, result))
        # All change with each run, since each of them has that scenario in it.
        key = digest(*(site.key(run) for run in track.runs))
        for name, found in points.items():
            yield _page(site, track, name, found, key)


def _page(site: Site, track: Track, name: str, points: list[Point], key: str) -> Page:
    page = track.timeline(name)
    return Page(page, f"{key} {name}", lambda: _render(site, page, track, name, points), site.archive.running)


def _render(site: Site, page: str, track: Track, name: str, points: list[Point]) -> str:
    run, _ = points[-1]
    said = site.judged[run.cell.id][name]
    return site.render(
        "scenario.html.j2",
        page,
        track=track,
        name=name,
        last=points[-1],
        table_rows=rows.nights(points, site.consoles, names.up(page)),
        said=said,
        bisections=[each for each in reversed(track.bisected) if each.scenario == name],
        turn=_turn(points),
        others=_others(site, track, name),
        chart=_chart(name, points[-_CHART:]),
        signs=SIGNS,
        kinds=KINDS,
        trends=TRENDS,
        live=site.archive.running,
    )


def _turn(points: list[Point]) -> Turn | None:
    """The last change between good and bad."""
    told = [(run, result.status in BAD) for run, result in points if result.status == "pass" or result.status in BAD]
    for (before, was), (after, now) in zip(reversed(told[:-1]), reversed(told[1:]), strict=True):
        if was != now:
            return Turn(after, before, True) if was else Turn(before, after, False)
    return None


def _others(site: Site, track: Track, name: str) -> list[Point]:
    """The newest result of the same scenario at the other places of its suite."""
    found = []
    for other in site.archive.tracks:
        if other is track or other.place.suite != track.place.suite:
            continue
        newest = next((run for run in reversed(other.runs) if run.told), None)
        result = newest.result(name) if newest else None
        if newest and result:
            found.append((newest, result))
    return found


def _chart(name: str, points: list[Point]) -> Picture | None:
    bad = sum(result.status in BAD for _, result in points)
    label = f"{name} in its last {len(points)} nights, {bad} of them bad; a column is as high as the scenario took long"
    columns = []
    for run, result in points:
        text = f"{when(run.night.started, 'day')}: {result.status}, {charts.amount(result.seconds, 's')}"
        kind = "soft" if run.cell.same and result.status == "pass" else KINDS.get(result.status, "soft")
        columns.append(Column(when(run.night.started, "short"), ((kind, max(result.seconds, 0.05), text),)))
    return charts.columns(label, columns, "s", 120.0)
