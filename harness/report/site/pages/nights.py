"""Every night in a table."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.site.site import Page, Site

NAME = "nights.html"


def pages(site: Site) -> Iterator[Page]:
    keys = [run.key for run in site.archive.runs.values()]
    yield Page(NAME, f"{site.archive.nights} {keys}", lambda: _render(site), live=site.archive.running)


def _render(site: Site) -> str:
    rows = []
    for night in reversed(site.archive.nights):
        runs = site.archive.of_night[night.id]
        kinds = [site.marks[run.cell.id] for run in runs]
        rows.append((night, runs, kinds, sum(run.cell.seconds for run in runs if not run.cell.same)))
    return site.render("nights.html.j2", NAME, rows=rows, live=site.archive.running)
