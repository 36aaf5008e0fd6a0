"""What every kind of page is made from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.campaign.nightly.records import Bisected, Night, NightState
from harness.report import clean
from harness.report.site import charts, names
from harness.report.site.archive import Archive, Run
from harness.report.site.marks import Mark, mark, when
from harness.report.site.trends import Judgements, News, news

TEMPLATES = Path(__file__).parent / "pages"


@dataclass(frozen=True)
class Page:
    """A page that the site shall have."""

    name: str  # its file, relative to the first page
    key: str  # digest of what it is made from
    make: Callable[[], str]
    live: bool = False  # it changes while a night runs


@dataclass(frozen=True)
class Site:
    """The history, what it says, and where things are."""

    archive: Archive
    judged: dict[int, Judgements]  # by cell
    consoles: dict[tuple[int, str], str]  # page by cell and scenario
    bisections: Mapping[int, str]  # page by bisection
    refresh: int = 0  # seconds after which a server has pages of a running night loaded again; 0: never

    def render(self, template: str, page: str, **values: object) -> str:
        """``template`` filled in for the file ``page``."""
        live = bool(values.pop("live", False)) and self.refresh
        return (
            _environment()
            .get_template(template)
            .render(site=self, page=page, root=names.up(page), reloads=live or 0, **values)
        )

    @functools.cached_property
    def marks(self) -> dict[int, Mark]:
        """How each run looks, by cell."""
        return {number: mark(run, self.judged) for number, run in self.archive.runs.items()}

    def news(self, night: Night) -> News:
        """What is new in it."""
        return news(self.archive.of_night[night.id], self.judged)

    def key(self, run: Run) -> str:
        """Of a page that tells what ``run`` did, with the trends of that day."""
        says = sorted((name, each) for name, each in self.judged[run.cell.id].items() if each.trend != "passing")
        consoles = [self.consoles.get((run.cell.id, each.scenario)) for each in run.results if each.evidence]
        return f"{run.key} {says} {consoles} {[self.bisections.get(each.id) for each in run.track.bisected]}"

    def bisection(self, found: Bisected) -> str:
        """The page of a bisection; empty when it is gone."""
        return self.bisections.get(found.id, "")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    environment.filters.update(clean=clean.line, amount=charts.amount, when=when)
    environment.globals["RUNNING"] = NightState.RUNNING
    return environment
