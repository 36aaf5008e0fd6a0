"""(c) A pristine kernel for every scenario: a copy of a saved guest, against a boot."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import case, reading, stats
from benchmarks.bench import TARGETS, Bench
from benchmarks.model import Limit, Measure
from benchmarks.turns import Taken, attempt

KEY = "c"
TITLE = "seconds per scenario with a pristine kernel, one at a time"
ORDER = 2

_LIMIT = 0.1  # seconds
_CHEAPER = 10.0  # times
_NOTE = "from the beginning of one scenario to that of the next, on one worker; each value is one scenario of the base"


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    rows: list[Measure] = []
    for target in TARGETS:
        copies = _cycles(bench, target, "--snapshot")
        boots = _cycles(bench, target, "--no-snapshot")
        cheaper = stats.of_medians(boots.of("seconds"), copies.of("seconds"))
        rows += [
            case.seconds(KEY, f"a copy of a saved guest, {target}", "kph", copies, limit=_LIMIT, note=_NOTE),
            case.seconds(KEY, f"a boot, {target}", "kph", boots),
            case.ratio(KEY, f"boot / copy, {target}", "kph", cheaper, Limit(_CHEAPER, at_least=True)),
        ]
    return rows


def _cycles(bench: Bench, target: str, how: str) -> Taken:
    """One value per scenario that ran."""
    words = ("--target", target, "--jobs", "1", how, *bench.force)
    return attempt(lambda: reading.cycles(bench.kph(*words).report, "base"))
