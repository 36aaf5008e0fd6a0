"""How a run, a night and a status look: told apart by sign and word, and by colour only besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.campaign.nightly.records import BAD, CellState, Trend
from harness.report.site.archive import Run
from harness.report.site.trends import Judgements

SIGNS = {"pass": "✓", "fail": "✗", "crash": "✗", "hang": "✗", "skip": "○", "error": "!", "": "·"}
KINDS = {"pass": "good", "fail": "bad", "crash": "bad", "hang": "bad", "skip": "skip", "error": "error", "": "none"}
TRENDS = {
    Trend.NEW_FAILURE: "bad", Trend.FAILING: "bad", Trend.FIXED: "good", Trend.FLAKY: "error", Trend.PASSING: "good",
    Trend.SKIPPED: "skip", Trend.UNKNOWN: "skip",
}  # fmt: skip
_STATES = {
    CellState.PLANNED: ("none", "·", "planned"),
    CellState.RUNNING: ("none", "…", "running"),
    CellState.DROPPED: ("skip", "-", "dropped"),
    CellState.FAILED: ("error", "!", "failed: no result"),
}


@dataclass(frozen=True)
class Mark:
    """A run in a grid."""

    kind: str  # class of the style sheet
    sign: str
    text: str  # what it means
    fresh: int = 0  # new failures in it


def mark(run: Run, judged: Mapping[int, Judgements]) -> Mark:
    """How ``run`` is shown."""
    if not run.told:
        return Mark(*_STATES[run.cell.state])
    same = "unchanged, " if run.cell.same else ""
    bad = sum(each.status in BAD and not each.quarantined for each in run.results)
    said = judged[run.cell.id]
    fresh = sum(said[each.scenario].trend is Trend.NEW_FAILURE and not each.quarantined for each in run.results)
    if run.cell.verdict == "error":
        return Mark("error", "!", f"{same}error", fresh)
    if bad or run.cell.verdict == "fail":
        return Mark("bad", f"✗{bad or ''}", f"{same}{bad} bad{f', {fresh} of them new' if fresh else ''}", fresh)
    return Mark("same" if run.cell.same else "good", "✓", f"{same}pass")


def when(stamp: str, form: str = "minute") -> str:
    """A time of the history for people: ``2026-11-26 03:15``, or its day, or month and day alone."""
    if form == "short":
        return stamp[5:10]
    return stamp[:10] if form == "day" else stamp[:16].replace("T", " ")
