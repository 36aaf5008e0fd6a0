"""What runs said of each scenario, and where they differ. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[str, str, str, str]  # target, flavour, scenario, side
SIDES = ("base", "patched")


@dataclass(frozen=True)
class Once:
    """One run."""

    number: int  # from 1
    loaded: bool  # something else wanted every core of the host meanwhile
    seconds: float  # wall time
    exit_status: int
    verdict: str  # of the whole run
    statuses: Mapping[Place, str]  # status, with the titles of splats if there are any


@dataclass(frozen=True)
class Difference:
    """A scenario that did not say the same each time."""

    place: Place
    usual: str  # what most runs say
    others: Mapping[int, str]  # number of a run -> what that one says


def statuses(report: Mapping[str, Any]) -> dict[Place, str]:
    """What a report.json says of every scenario on both kernels."""
    found: dict[Place, str] = {}
    for row in report["scenarios"]:
        for side in SIDES:
            if (outcome := row[side]) is not None:
                splats = [splat["title"] for splat in outcome["splats"]]
                found[(row["target"], row["flavour"], row["id"], side)] = "; ".join([outcome["status"], *splats])
    return found


def differences(runs: Sequence[Once]) -> tuple[Difference, ...]:
    """Every scenario whose status is not that of all other runs; one that a run lacks is "absent" there."""
    places = dict.fromkeys(place for run in runs for place in run.statuses)
    found = []
    for place in places:
        said = {run.number: run.statuses.get(place, "absent") for run in runs}
        ((usual, _),) = Counter(said.values()).most_common(1)
        others = {number: status for number, status in said.items() if status != usual}
        if others:
            found.append(Difference(place, usual, others))
    return tuple(found)


def page(runs: Sequence[Once], facts: Mapping[str, str], command: str) -> str:
    """The table as Markdown."""
    found = differences(runs)
    differing = Counter(number for each in found for number in each.others)
    loaded = sum(run.loaded for run in runs)
    lines = [
        "# Steadiness",
        "",
        f"`{command}`: the same run {len(runs)} times over, nothing taken from an earlier one.",
        f"In {loaded} of them something else wanted every core of the host as well: a busy process for each.",
        "",
        f"**{_conclusion(runs, found)}**",
        "",
        "; ".join(f"{name}: {value}" for name, value in facts.items()) + ".",
        "",
        "| run | host | seconds | verdict | pass | fail | skip | others | differing |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(run, differing[run.number]) for run in runs]
    if found:
        lines += ["", "| scenario | usually | otherwise |", "|---|---|---|"]
        lines += [_told(each) for each in found]
    return "\n".join((*lines, ""))


def _conclusion(runs: Sequence[Once], found: Iterable[Difference]) -> str:
    total = sum(len(run.statuses) for run in runs)
    wrong = sum(len(each.others) for each in found)
    verdicts = {run.verdict for run in runs}
    if not wrong and len(verdicts) == 1:
        return f"{total} results, none of which differs from run to run."
    return f"{wrong} of {total} results differ; verdicts: {', '.join(sorted(verdicts))}."


def _line(run: Once, differing: int) -> str:
    counts = Counter(status.split(";")[0] for status in run.statuses.values())
    others = sum(counts.values()) - counts["pass"] - counts["fail"] - counts["skip"]
    host = "loaded" if run.loaded else "quiet"
    cells = (run.number, host, f"{run.seconds:.1f}", run.verdict, counts["pass"], counts["fail"], counts["skip"])
    return f"| {' | '.join(map(str, (*cells, others, differing)))} |"


def _told(each: Difference) -> str:
    target, flavour, scenario, side = each.place
    others = ", ".join(f"{status} in run {number}" for number, status in each.others.items())
    return f"| {scenario} on {target} ({flavour}), {side} | {each.usual} | {others} |"
