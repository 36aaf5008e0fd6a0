"""The decisions of a bisection on what real kernels did, as tests/vm/bisect/record.py wrote it down."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from harness.campaign.bisect.history import Graph
from harness.campaign.bisect.rate import Rate
from harness.campaign.bisect.search import Search, Seen

DATA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/bisect/flaky.json").read_text())
REPEATS = 10
NODES = [str(number) for number in DATA["nodes"]]


def drawn(name: str, runs: int, chance: random.Random) -> list[str]:
    """Runs out of those that were recorded, each with the same chance."""
    return [chance.choice(DATA["runs"][name]) for _ in range(runs)]


def repeat(seed: int) -> tuple[str, float, int]:
    """One bisection: the culprit, its confidence, and how many runs it took."""
    chance = random.Random(seed)
    shown = hidden = 0
    while shown < 5:  # as on the newer end: see harness/campaign/bisect/ends.py
        (run,) = drawn("64", 1, chance)
        shown, hidden = (shown + 1, hidden) if run == "x" else (shown, hidden + 1)
    lasts = {name: int(after) - int(name) for name, after in zip(NODES, [*NODES[1:], "65"], strict=True)}
    search = Search(Graph.line(NODES), Rate(shown, hidden), 0.95, lasts=lasts).after(NODES[-1], Seen(shown, hidden))
    runs = shown + hidden
    while not search.culprit and (looks := search.next()):
        (look,) = looks
        results = drawn(look.commit, look.runs, chance)
        if results[0] == "s":
            search = search.skip(look.commit)
            continue
        count = results.index("x") + 1 if "x" in results else look.runs
        runs += count
        seen = Seen(1, count - 1) if "x" in results else Seen(0, count)
        search = search.after(look.commit, seen)
    assert search.culprit is not None
    return *search.culprit, runs


def test_what_was_recorded_is_a_failure_that_comes_and_goes() -> None:
    rate = DATA["runs"]["64"].count("x") / len(DATA["runs"]["64"])
    assert 0.15 < rate < 0.5, "about one run in three"
    assert sum(set(runs) == {"s"} for runs in DATA["runs"].values()) == 4
    for name, runs in DATA["runs"].items():
        if int(name) < DATA["culprit"]:
            assert "x" not in runs


def test_ten_repeats_find_the_culprit_at_least_nine_times() -> None:
    found = [repeat(seed) for seed in range(REPEATS)]
    assert all(confidence >= 0.95 for _, confidence, _ in found)
    assert sum(culprit == str(DATA["culprit"]) for culprit, _, _ in found) >= 9, found
