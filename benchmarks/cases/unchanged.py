"""(d) A run with nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import case
from benchmarks.bench import SERIES, Bench
from benchmarks.model import Measure
from benchmarks.turns import alternate

KEY = "d"
TITLE = "a run with nothing changed: the reference series on x86_64-vtd, once more"
ORDER = 2

_LIMIT = 0.5  # seconds


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    words = ("--series", SERIES, "--target", "x86_64-vtd")
    bench.kph(*words)
    taken = alternate(bench.runs, {"kph": lambda: {"seconds": bench.kph(*words).seconds}})
    return (case.seconds(KEY, "start to verdict", "kph", taken["kph"], limit=_LIMIT),)
