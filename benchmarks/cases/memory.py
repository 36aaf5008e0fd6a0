"""(g) The most memory that a run takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bench import SERIES, Bench
from benchmarks.model import Limit, Measure, Unit
from benchmarks.turns import Numbers, alternate

KEY = "g"
TITLE = "peak memory: private and shared pages of kph and all that it starts, saved guests in it, each 50 ms"
ORDER = 3

_LIMIT = Limit(1.5 * 2**30)  # bytes
_RUNS = 3  # at most: the peak hardly moves
_TARGET = ("--target", "x86_64-vtd")
_SERIES = ("--series", SERIES)


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    bench.kph(*_SERIES, *_TARGET)  # builds both kernels, when they are not there
    bench.kph(*_SERIES, "--series", bench.patch_file(), *_TARGET)  # and has an output directory that is warm

    def watched(*words: str | Path) -> Numbers:
        return {"bytes": bench.kph(*_TARGET, *words, watch=True).peak}

    players: dict[str, Callable[[], Numbers]] = {
        "both kernels known, two workers": lambda: watched(*_SERIES, "--snapshot", "--jobs", "2", *bench.force),
        "edit to verdict, with compiler and linker": lambda: watched(*_SERIES, "--series", bench.patch_file()),
    }
    taken = alternate(min(bench.runs, _RUNS), players)
    return tuple(
        Measure(KEY, what, "kph", Unit.BYTES, each.of("bytes"), _LIMIT, failure=each.failure)
        for what, each in taken.items()
    )
