"""The console of a scenario that failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.campaign.nightly.records import BAD, Result
from harness.report.site import console, names
from harness.report.site.archive import Archive, Run
from harness.report.site.evidence import stamp
from harness.report.site.folder import Folder
from harness.report.site.site import Page, Site

TOTAL = 256 * 1024 * 1024  # bytes of consoles of a whole site; the newest are shown


def choose(archive: Archive, folder: Folder, total: int = TOTAL) -> dict[tuple[int, str], str]:
    """The pages of consoles, by cell and scenario: those that are there, and those of an earlier build."""
    found: dict[tuple[int, str], str] = {}
    for run in reversed(archive.runs.values()):
        for result in run.results if not run.cell.same else ():
            if result.status not in BAD and not result.splats:
                continue
            if total <= 0:
                return found
            page = _page(run, result.scenario)
            size = min(_size(_file(result)), console.LARGEST)
            if not size and folder.keep(page):
                size = folder.size(page)  # evidence may not last as long as its page
            if size:
                total -= size
                found[run.cell.id, result.scenario] = page
    return found


def pages(site: Site) -> Iterator[Page]:
    for (cell, scenario), page in site.consoles.items():
        run = site.archive.runs[cell]
        result = run.result(scenario)
        if result and _size(_file(result)):
            yield _one(site, run, result, page)


def _one(site: Site, run: Run, result: Result, page: str) -> Page:
    file = _file(result)

    def make() -> str:
        return site.render(
            "console.html.j2", page, run=run, result=result, console=console.read(file) if file else None
        )

    return Page(page, f"{run.content} {stamp(file)}", make)


def _page(run: Run, scenario: str) -> str:
    return f"console/{run.cell.id}/{names.slug(scenario)}.html"


def _file(result: Result) -> Path | None:
    return Path(result.evidence) / "console.log" if result.evidence else None


def _size(file: Path | None) -> int:
    try:
        return file.stat().st_size if file and file.is_file() else 0
    except OSError:
        return 0
