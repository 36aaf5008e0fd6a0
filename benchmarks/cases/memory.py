"""(g) The most memory that a run takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.bench import SERIES, Bench
from benchmarks.model import Limit, Measure, Unit
from benchmarks.turns import Numbers, alternate

KEY = "g"
TITLE = "peak memory: private and shared pages of kph and all that it starts, saved guests in it, each 50 ms"
ORDER = 3

_LIMIT = 1.5 * 2**30  # bytes
_WORDS = ("--series", SERIES, "--target", "x86_64-vtd")


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    bench.kph(*_WORDS)

    def suite() -> Numbers:
        return {"bytes": bench.kph(*_WORDS, *bench.force, "--snapshot", "--jobs", "2", watch=True).peak}

    def change() -> Numbers:
        return {"bytes": bench.kph(*_WORDS, "--series", bench.patch_file(), watch=True).peak}

    players: dict[str, Callable[[], Numbers]] = {"suite": suite, "change": change}
    taken = alternate(min(bench.runs, 3), players)
    limit = Limit(_LIMIT)
    return (
        Measure(
            KEY,
            "a run with two workers on each kernel",
            "kph",
            Unit.BYTES,
            taken["suite"].of("bytes"),
            limit,
            failure=taken["suite"].failure,
        ),
        Measure(
            KEY,
            "edit to verdict, compiler and linker in it",
            "kph",
            Unit.BYTES,
            taken["change"].of("bytes"),
            failure=taken["change"].failure,
        ),
    )
