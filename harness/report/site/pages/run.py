"""One run: a place in one night, with every result."""

from __future__ import annotations

from collections.abc import Iterator

from harness.campaign.nightly.records import BAD, NightState
from harness.report.site import charts, evidence, names, rows
from harness.report.site.archive import Run
from harness.report.site.charts import Bar, Picture
from harness.report.site.marks import KINDS, SIGNS
from harness.report.site.pages.comparison import differences, differs, pair_page
from harness.report.site.site import Page, Site
from harness.report.site.trends import bisection

_SLOWEST = 10  # scenarios in the chart
_PHASES = 40  # phases in the chart


def pages(site: Site) -> Iterator[Page]:
    for run in site.archive.runs.values():
        yield _page(site, run)


def _page(site: Site, run: Run) -> Page:
    key = f"{site.key(run)} {evidence.stamp(evidence.report_file(run.cell))}"
    live = run.night.state is NightState.RUNNING and not run.told
    return Page(run.page, key, lambda: _render(site, run, live), live)


def _render(site: Site, run: Run, live: bool) -> str:
    # What was not run again is told on the page of the run that did.
    report = evidence.Report() if run.own else evidence.read(run.cell)
    bad = [each for each in run.results if each.status in (*BAD, "error") or each.splats]
    before = run.before if differs(run) else None
    return site.render(
        "run.html.j2",
        run.page,
        run=run,
        report=report,
        bad=[(each, bisection(run, each.scenario)) for each in bad],
        differences=differences(before, run) if before and not run.own else (),
        comparison=pair_page(before, run) if before else "",
        table_rows=rows.results(run, site.judged[run.cell.id], names.up(run.page)) if not run.own else "",
        pictures=[each for each in (_phases(report), _slowest(run)) if each] if not run.own else [],
        signs=SIGNS,
        kinds=KINDS,
        live=live,
    )


def _phases(report: evidence.Report) -> Picture | None:
    longest = sorted(report.phases, key=lambda phase: -phase.seconds)[:_PHASES]
    shown = sorted(longest, key=lambda phase: (phase.started, -phase.seconds))
    label = f"Phases of the run along its time, the {len(shown)} longest"
    return charts.bars(
        label,
        [
            Bar(each.name, each.started, each.seconds, "soft", f"{each.name}: {charts.amount(each.seconds, 's')}")
            for each in shown
        ],
    )


def _slowest(run: Run) -> Picture | None:
    slow = sorted(run.results, key=lambda each: -each.seconds)[:_SLOWEST]
    label = f"The slowest scenarios: {', '.join(f'{each.scenario} {each.seconds:.1f} s' for each in slow[:3])}"
    return charts.bars(
        label,
        [
            Bar(each.scenario, 0, each.seconds, KINDS.get(each.status, "soft"), f"{each.scenario}: {each.status}")
            for each in slow
        ],
    )
