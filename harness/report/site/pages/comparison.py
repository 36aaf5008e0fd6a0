"""Two runs side by side: what differs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from harness.campaign.nightly.history import WINDOW
from harness.campaign.nightly.records import BAD, Place, Result
from harness.report.site.archive import Run
from harness.report.site.marks import KINDS, SIGNS
from harness.report.site.site import Page, Site

INDEX = "compare/index.html"
_SLOWER = 1.5  # times as long that are told
_SECONDS = 1.0  # and at least so much


@dataclass(frozen=True)
class Difference:
    """A scenario that is not the same in two runs."""

    scenario: str
    older: Result | None  # None: it did not run there
    newer: Result | None
    word: str  # became bad, became good, other


def pages(site: Site) -> Iterator[Page]:
    pairs = tuple(dict.fromkeys(_pairs(site)))
    for older, newer in pairs:
        yield pair(site, older, newer)
    key = "".join(pair_page(older, newer) for older, newer in pairs)
    yield Page(INDEX, key, lambda: _index(site))


def pair(site: Site, older: Run, newer: Run) -> Page:
    """The page of these two."""
    page = pair_page(older, newer)
    return Page(page, f"{older.key} {newer.key}", lambda: _render(site, page, older, newer))


def pair_page(older: Run, newer: Run) -> str:
    return f"compare/{older.cell.id}-{newer.cell.id}.html"


def differs(run: Run) -> bool:
    """Whether it did anything else than the run before."""
    if run.before is None or not run.told or run.own is (run.before.own or run.before):
        return False
    return [(each.scenario, *_said(each)) for each in run.results] != [
        (each.scenario, *_said(each)) for each in run.before.results
    ]


def differences(older: Run, newer: Run) -> tuple[Difference, ...]:
    """What became bad first, what became good next, then the rest."""
    before = {each.scenario: each for each in older.results}
    after = {each.scenario: each for each in newer.results}
    found = [
        Difference(name, before.get(name), after.get(name), _word(before.get(name), after.get(name)))
        for name in sorted(before.keys() | after.keys())
        if _said(before.get(name)) != _said(after.get(name))
    ]
    order = ("became bad", "still bad, otherwise", "became good")
    return tuple(sorted(found, key=lambda each: order.index(each.word) if each.word in order else len(order)))


def _said(result: Result | None) -> tuple[object, ...]:
    return (result.status, result.splats) if result else ()


def _word(older: Result | None, newer: Result | None) -> str:
    if older is None or newer is None:
        return "only in the second" if older is None else "only in the first"
    was, now = older.status in BAD, newer.status in BAD
    if was and now:
        return "still bad, otherwise"
    if now:
        return "became bad"
    return "became good" if was and newer.status == "pass" else "other"


def _pairs(site: Site) -> Iterator[tuple[Run, Run]]:
    """Each run that differs from the one before with it; the newest with those of its window, and of akin places."""
    newest: list[Run] = []
    for track in site.archive.tracks:
        told = [run for run in track.runs if run.told]
        yield from ((run.before, run) for run in told if run.before and differs(run))
        yield from ((run, told[-1]) for run in told[-WINDOW:-1])
        newest += told[-1:]
    yield from ((a, b) for a, b in itertools.combinations(newest, 2) if _akin(a.track.place, b.track.place))


def _akin(a: Place, b: Place) -> bool:
    """They differ in one thing, and that is not the suite."""
    pairs = zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    return a.suite == b.suite and sum(x != y for x, y in pairs) == 1


def _index(site: Site) -> str:
    akin = [(a, b, pair_page(a, b)) for a, b in _pairs(site) if a.track is not b.track]
    tracks = [(track, [run for run in track.runs if run.told][-WINDOW:]) for track in site.archive.tracks]
    rows = [(track, [(run, pair_page(run, told[-1])) for run in told[:-1]], told[-1]) for track, told in tracks if told]
    return site.render("comparisons.html.j2", INDEX, rows=rows, akin=akin)


def _render(site: Site, page: str, older: Run, newer: Run) -> str:
    before = {each.scenario: each for each in older.results}
    both = [(before[each.scenario], each) for each in newer.results if each.scenario in before]
    slower = [(a, b) for a, b in both if abs(a.seconds - b.seconds) >= _SECONDS and _factor(a, b) >= _SLOWER]
    return site.render(
        "comparison.html.j2",
        page,
        older=older,
        newer=newer,
        differences=differences(older, newer),
        equal=sum(_said(a) == _said(b) for a, b in both),
        slower=sorted(slower, key=lambda each: -abs(each[0].seconds - each[1].seconds))[:20],
        signs=SIGNS,
        kinds=KINDS,
    )


def _factor(a: Result, b: Result) -> float:
    return max(a.seconds, b.seconds) / max(min(a.seconds, b.seconds), 0.001)
