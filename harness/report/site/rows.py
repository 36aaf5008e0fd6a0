"""The long tables and the charts, put together without a template: a site has a hundred thousand rows and boxes,
and a template takes ten times as long for each. All text goes through ``text()``."""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from harness.campaign.nightly.records import Result
from harness.report import clean
from harness.report.site.archive import Run
from harness.report.site.marks import KINDS, SIGNS, TRENDS, when
from harness.report.site.trends import Judgements

Point = tuple[Run, Result]
_QUIET = ("passing", "skipped")


@functools.lru_cache(maxsize=100_000)
def text(words: str) -> str:
    """``words`` as they may stand in a page, between quotes as well."""
    return html.escape(clean.line(words))


def status(word: str, dim: str = "") -> str:
    """A cell with a status, told by sign, word and colour."""
    more = f' <span class="dim">{dim}</span>' if dim else ""
    return f'<td class="{KINDS.get(word, "none")} s">{SIGNS.get(word, "·")} {text(word)}{more}</td>'


def results(run: Run, judged: Judgements, root: str) -> Markup:
    """Every scenario of a run."""
    series = any(each.base for each in run.results)
    return Markup("".join(_result(run, each, judged, root, series) for each in run.results))


def _result(run: Run, each: Result, judged: Judgements, root: str, series: bool) -> str:
    said = judged[each.scenario]
    lately = str(said.trend)
    if lately not in _QUIET:
        lately += f" {100 * said.rate:.0f} %" if lately == "flaky" else ""
        lately += f" since {when(said.since, 'day')}" if said.since else ""
    return (
        f'<tr><td class="w"><a href="{root}{run.track.timeline(each.scenario)}">{text(each.scenario)}</a></td>'
        f"{status(each.base) if series else ''}{status(each.status)}"
        f'<td class="{TRENDS[said.trend]}">{lately}</td><td class="n">{each.seconds:.1f}</td></tr>\n'
    )


def nights(points: Sequence[Point], consoles: dict[tuple[int, str], str], root: str) -> Markup:
    """A scenario night by night, the newest first; nights of which there is nothing to tell share a row."""
    rows = []
    for group in _groups(points, consoles):
        (oldest, _), (run, each) = group[0], group[-1]
        days = f'<a href="{root}{run.page}">{when(run.night.started, "day")}</a>'
        if len(group) > 1:
            days += f' to <a href="{root}{oldest.page}">{when(oldest.night.started, "day")}</a>'
        console = consoles.get((run.cell.id, each.scenario))
        why = "; ".join(filter(None, (text(each.reason), _tries(each), "quarantined" if each.quarantined else "")))
        if console:
            label = f"console of {when(run.night.started, 'day')}"
            why += f' <a href="{root}{console}" aria-label="{label}">console</a>'
        rows.append(
            f'<tr><td>{days}</td><td class="n">{len(group)}</td>{status(each.status, _unchanged(group))}'
            f"<td>{text(run.cell.version)}</td><td><code>{text(run.cell.commit[:12])}</code></td>"
            f'<td class="n">{_seconds(group)}</td><td class="w">{why}</td></tr>\n'
        )
    return Markup("".join(reversed(rows)))


def _groups(points: Sequence[Point], consoles: dict[tuple[int, str], str]) -> Iterator[list[Point]]:
    group: list[Point] = []
    kind: tuple[str, ...] = ()
    for run, each in points:
        lone = (run.cell.id, each.scenario) in consoles or each.tries
        now = (each.status, each.reason, each.quarantined, str(run.cell.id) if lone else "")
        if group and now != kind:
            yield group
            group = []
        kind = now
        group.append((run, each))
    if group:
        yield group


def _unchanged(group: Sequence[Point]) -> str:
    number = sum(bool(run.cell.same) for run, _ in group)
    if not number:
        return ""
    return "unchanged" if len(group) == 1 else f"{number} unchanged"


def _tries(each: Result) -> str:
    return f"tried again: {text(', '.join(each.tries))}" if each.tries else ""


def _seconds(group: Sequence[Point]) -> str:
    times = [each.seconds for _, each in group]
    low, high = f"{min(times):.1f}", f"{max(times):.1f}"
    return low if low == high else f"{low} to {high}"
