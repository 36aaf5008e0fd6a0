"""How many tests a bisection of 10,000 commits takes, beside the fewest that could do.

``python -m benchmarks.bisection``. Nothing is built: the decisions are those of harness/campaign/bisect/search.py, the
answers are drawn at random with a fixed seed. Writes docs/bisect-steps.json and, with matplotlib
(pip install 'kph[plot]'), the picture of it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.campaign.bisect.history import Graph
from harness.campaign.bisect.rate import Rate
from harness.campaign.bisect.search import Costs, Look, Search, Seen

DOCS = Path(__file__).parent.parent / "docs"
COMMITS = 10_000
RATES = (1.0, 0.8, 0.5, 0.33, 0.2, 0.1)
SKIPPED = (0.0, 0.05, 0.2)  # share of commits that do not build
_LENGTH = 8  # commits in a row that do not build, on average
_CONFIDENCE = 0.95

Answer = Callable[[Look], Seen | None]


@dataclass(frozen=True)
class Trial:
    """One bisection."""

    kernels: int  # that were built, or could not be
    runs: int  # of the scenario
    right: bool  # the culprit, or with skipped commits a range that has it


@dataclass(frozen=True)
class Point:
    """Many bisections of one kind."""

    rate: float  # at which the failure shows
    skipped: float  # share of commits that do not build
    trials: int
    kernels: float  # on average
    kernels_most: int
    runs: float
    right: float  # share
    kernels_fewest: float  # that anybody could do with on average: bits to be known, one from each
    runs_fewest: float  # the same of runs; each gives at most the capacity of the channel that the rate makes


def capacity(rate: float) -> float:
    """Bits that one run gives at most: of the Z-channel, which shows a failure at ``rate`` and never one too many.

    The maximum over the input is log2(1 + rate * (1 - rate) ** ((1 - rate) / rate)).
    """
    return 1.0 if rate == 1 else math.log2(1 + rate * (1 - rate) ** ((1 - rate) / rate))


def simulate(count: int, rate: float, skipped: float, trials: int, seed: int) -> Point:
    """Bisect ``trials`` histories of ``count`` commits."""
    chance = random.Random(f"{seed}/{count}/{rate}/{skipped}")
    graph = Graph.line([str(number) for number in range(count)])
    done = [_one(graph, rate, skipped, chance) for _ in range(trials)]
    bits = math.log2(count)
    return Point(
        rate=rate,
        skipped=skipped,
        trials=trials,
        kernels=statistics.mean(each.kernels for each in done),
        kernels_most=max(each.kernels for each in done),
        runs=statistics.mean(each.runs for each in done),
        right=statistics.mean(each.right for each in done),
        kernels_fewest=bits,
        runs_fewest=bits / capacity(rate),
    )


def _one(graph: Graph, rate: float, skipped: float, chance: random.Random) -> Trial:
    count = len(graph.nodes)
    culprit, broken = chance.randrange(count), _broken(count, skipped, chance)
    search = _start(graph, rate, chance)
    kernels, runs = set[str](), 0
    while not search.culprit and (looks := search.next()):
        (look,) = looks
        kernels.add(look.commit)
        place = int(look.commit)
        if place in broken:
            search = search.skip(look.commit)
            continue
        shows = 0
        if place >= culprit:
            shows = next((run for run in range(1, look.runs + 1) if chance.random() < rate), 0)
        runs += shows or look.runs
        search = search.after(look.commit, Seen(1, shows - 1) if shows else Seen(0, look.runs))
    suspects = search.suspects
    right = suspects[0][0] == str(culprit) if search.culprit else str(culprit) in dict(suspects)
    return Trial(len(kernels), runs, right)


def _start(graph: Graph, rate: float, chance: random.Random) -> Search:
    """With what the bad end showed: until the failure was seen five times."""
    costs = Costs(build=60, run=6)
    if rate == 1:
        return Search(graph, Rate(2, 0, always=True), _CONFIDENCE, costs=costs).after(graph.nodes[-1], Seen(2, 0))
    shown = hidden = 0
    while shown < 5:
        shown, hidden = (shown + 1, hidden) if chance.random() < rate else (shown, hidden + 1)
    return Search(graph, Rate(shown, hidden), _CONFIDENCE, costs=costs).after(graph.nodes[-1], Seen(shown, hidden))


def _broken(count: int, share: float, chance: random.Random) -> frozenset[int]:
    """Commits that do not build, some in a row each time; never the last one."""
    found: set[int] = set()
    while len(found) < share * count:
        first = chance.randrange(count)
        found.update(range(first, min(count - 1, first + 1 + int(chance.expovariate(1 / _LENGTH)))))
    return frozenset(found)


def draw(points: list[Point], file: Path) -> None:
    """The picture: kernels and runs, each beside the fewest that could do."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "kph"  # the same picture for the same numbers
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    steady = [point for point in points if point.skipped == 0]
    rates = [point.rate for point in steady]
    for axis, name, what in ((left, "kernels", "kernels built"), (right, "runs", "runs of the scenario")):
        axis.plot(rates, [getattr(p, name) for p in steady], "o-", label="kph, on average")
        axis.plot(rates, [getattr(p, f"{name}_fewest") for p in steady], "s--", label="the fewest that could do")
        axis.set_xlabel("rate at which the failure shows")
        axis.set_ylabel(what)
        axis.set_ylim(bottom=0)
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(f"Bisection of {COMMITS} commits at {_CONFIDENCE:.0%} confidence")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    kinds = [(rate, 0.0) for rate in RATES] + [(1.0, share) for share in SKIPPED if share]
    points = []
    for rate, skipped in kinds:
        points.append(simulate(COMMITS, rate, skipped, args.trials, args.seed))
        print(points[-1])
    document = {"commits": COMMITS, "confidence": _CONFIDENCE, "points": [asdict(point) for point in points]}
    (DOCS / "bisect-steps.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(points, DOCS / "bisect-steps.svg")


if __name__ == "__main__":
    main()
