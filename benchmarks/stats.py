"""Statistics over a few runs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """What the table shows of some values."""

    median: float
    low: float  # the smallest
    high: float  # the largest
    runs: int


def summary(values: Sequence[float]) -> Summary | None:
    """None when there is no value."""
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Ours divided by theirs, run by run, for runs that took turns: what slowed a machine down slowed both.

    A run without a partner, and one whose partner is zero, has no ratio.
    """
    return tuple(mine / other for mine, other in zip(ours, theirs, strict=False) if other > 0)


def of_medians(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """The ratio of the medians, for runs that have no partners; empty when one side has none."""
    if not ours or not theirs or statistics.median(theirs) <= 0:
        return ()
    return (statistics.median(ours) / statistics.median(theirs),)
