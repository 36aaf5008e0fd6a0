"""What each run said of each scenario on the day, seen over the nights before it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from harness.campaign.nightly import trend
from harness.campaign.nightly.history import WINDOW
from harness.campaign.nightly.records import Bisected, CellState, Result, Trend
from harness.report.site.archive import Archive, Run

Judgements = dict[str, trend.Judged]  # by scenario


@dataclass(frozen=True)
class Item:
    """A scenario that is worth telling of a night."""

    run: Run
    result: Result
    judged: trend.Judged
    bisected: Bisected | None  # the newest bisection of it at this track

    @property
    def page(self) -> str:
        return self.run.track.timeline(self.result.scenario)


@dataclass(frozen=True)
class News:
    """What is new in one night."""

    failures: tuple[Item, ...]  # new
    fixed: tuple[Item, ...]
    flaky: tuple[Item, ...]
    quarantined: tuple[Item, ...]  # their failures do not count
    failing: tuple[Item, ...]  # as before
    dropped: tuple[Run, ...]  # there was no time
    failed: tuple[Run, ...]  # the harness or the host failed


def judge(archive: Archive, window: int = WINDOW) -> dict[int, Judgements]:
    """By cell: what History.verdicts() would have said after that cell's night."""
    found: dict[int, Judgements] = {}
    position: dict[int, int] = {}
    for name in archive.names:
        position.update({night.id: number for number, night in enumerate(archive.named(name))})
    for track in archive.tracks:
        rows: dict[str, _Row] = defaultdict(_Row)
        for run in track.runs:
            now = position[run.night.id]
            found[run.cell.id] = {
                each.scenario: rows[each.scenario].after(run, each, now, window) for each in run.results
            }
    return found


class _Row:
    """A scenario in the nights of a window."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, trend.Seen]] = deque()  # with the number of the night
        self._loud = 0  # of these, how many did not just pass
        self._quiet = trend.Judged(Trend.PASSING, "", 0.0)  # made once for many nights

    def after(self, run: Run, result: Result, now: int, window: int) -> trend.Judged:
        """What is to be said when ``result`` has come."""
        # What was not run again says nothing new.
        tries = () if run.cell.same else result.tries
        self._seen.append((now, trend.Seen(run.night.started, result.status, run.cell.key, tries)))
        self._loud += result.status != "pass" or bool(tries)
        while self._seen[0][0] <= now - window:
            _, gone = self._seen.popleft()
            self._loud -= gone.status != "pass" or bool(gone.tries)
        if not self._loud:  # nearly all are like this
            since = self._seen[0][1].night
            if self._quiet.since != since:
                self._quiet = trend.Judged(Trend.PASSING, since, 0.0)
            return self._quiet
        return trend.judge([seen for _, seen in self._seen])


def news(runs: Iterable[Run], judged: dict[int, Judgements]) -> News:
    """Of one night's ``runs``."""
    runs = tuple(runs)
    kinds: dict[Trend, list[Item]] = defaultdict(list)
    quarantined: list[Item] = []
    for run in runs:
        for result in run.results:
            said = judged[run.cell.id][result.scenario]
            if said.trend in (Trend.PASSING, Trend.SKIPPED) and not result.quarantined:
                continue
            item = Item(run, result, said, bisection(run, result.scenario))
            (quarantined if result.quarantined else kinds[said.trend]).append(item)
    return News(
        failures=tuple(kinds[Trend.NEW_FAILURE]),
        fixed=tuple(kinds[Trend.FIXED]),
        flaky=tuple(sorted(kinds[Trend.FLAKY], key=lambda item: -item.judged.rate)),
        quarantined=tuple(quarantined),
        failing=tuple(kinds[Trend.FAILING]),
        dropped=tuple(run for run in runs if run.cell.state is CellState.DROPPED),
        failed=tuple(run for run in runs if run.cell.state is CellState.FAILED or run.cell.verdict == "error"),
    )


def bisection(run: Run, scenario: str) -> Bisected | None:
    """The newest at this track up to ``run``."""
    found = None
    for each in run.track.bisected:
        if each.scenario == scenario and each.cell <= run.cell.id:
            found = each
    return found
