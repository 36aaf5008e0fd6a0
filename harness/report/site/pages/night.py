"""One night: what is new in it, and its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.campaign.nightly.records import BAD, Night, NightState
from harness.report.site.archive import Run
from harness.report.site.site import Page, Site


def pages(site: Site) -> Iterator[Page]:
    for name in site.archive.names:
        named = site.archive.named(name)
        for number, night in enumerate(named):
            before = named[number - 1] if number else None
            after = named[number + 1] if number + 1 < len(named) else None
            yield _page(site, night, before, after)


def _page(site: Site, night: Night, before: Night | None, after: Night | None) -> Page:
    runs = site.archive.of_night[night.id]
    page = f"night/{night.id}.html"
    live = night.state is NightState.RUNNING

    def make() -> str:
        values = {"night": night, "runs": runs, "before": before, "after": after, "news": site.news(night)}
        return site.render(
            "night.html.j2", page, counts={run.cell.id: _counts(run) for run in runs}, live=live, **values
        )

    beside = f"{before.id if before else ''} {after.id if after else ''}"
    return Page(page, f"{night} {beside} {[site.key(run) for run in runs]}", make, live)


def _counts(run: Run) -> Counter[str]:
    return Counter("bad" if each.status in BAD else each.status for each in run.results)
