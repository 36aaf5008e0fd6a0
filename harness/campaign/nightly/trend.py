"""A scenario's verdict over the nights (pure)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.campaign.nightly.records import BAD, Trend

_FLIPS = 3  # changes between good and bad that make a scenario flaky although each came with new inputs


@dataclass(frozen=True)
class Seen:
    """The scenario in one night."""

    night: str  # when that night started
    status: str  # on the kernel under test
    key: str  # of its cell's inputs
    tries: tuple[str, ...] = ()  # statuses when it was tried again


@dataclass(frozen=True)
class Judged:
    """What a row of nights says."""

    trend: Trend
    since: str  # start of the night with which the present state began; empty when there is none
    rate: float  # share of failures among the nights with evidence; a night's tries count each


def judge(seen: Sequence[Seen]) -> Judged:
    """The verdict over ``seen``, the oldest first.

    Flaky is what gives different results for equal inputs, in one night or in two, or what changed back and forth
    three times.
    """
    if not seen:
        return Judged(Trend.UNKNOWN, "", 0.0)
    told = [each for each in seen if each.status == "pass" or each.status in BAD]
    runs = [status for each in told for status in (each.tries or (each.status,))]
    rate = sum(status in BAD for status in runs) / len(runs) if runs else 0.0
    if seen[-1] not in told[-1:]:
        trend = Trend.SKIPPED if seen[-1].status == "skip" else Trend.UNKNOWN
        return Judged(trend, _began(seen, lambda each: each.status == seen[-1].status), rate)
    flaky = _flaky_since(told)
    if flaky:
        return Judged(Trend.FLAKY, flaky, rate)
    bad = told[-1].status in BAD
    since = _began(told, lambda each: (each.status in BAD) == bad)
    fresh = len(told) > 1 and (told[-2].status in BAD) != bad
    if bad:
        return Judged(Trend.NEW_FAILURE if fresh else Trend.FAILING, since, rate)
    return Judged(Trend.FIXED if fresh else Trend.PASSING, since, rate)


def _flaky_since(told: Sequence[Seen]) -> str:
    """The night in which the flakiness showed first; empty when there is none."""
    signs = [each.night for each in told if _mixed(each.tries)]
    pairs = list(itertools.pairwise(told))
    flips = [after for before, after in pairs if (before.status in BAD) != (after.status in BAD)]
    signs += [after.night for before, after in pairs if after in flips and before.key == after.key]
    if len(flips) >= _FLIPS:
        signs.append(flips[0].night)
    return min(signs, default="")


def _mixed(tries: Sequence[str]) -> bool:
    return "pass" in tries and any(status in BAD for status in tries)


def _began(seen: Sequence[Seen], alike: Callable[[Seen], bool]) -> str:
    """The first night of those at the end that are ``alike``."""
    since = ""
    for each in reversed(seen):
        if not alike(each):
            break
        since = each.night
    return since
