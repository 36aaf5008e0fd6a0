"""A scenario's verdict over the nights."""

from __future__ import annotations

import pytest

from harness.campaign.nightly.records import Trend
from harness.campaign.nightly.trend import Seen, judge

_WORDS = {"p": "pass", "f": "fail", "c": "crash", "s": "skip", "e": "error"}


def row(statuses: str, keys: str = "") -> list[Seen]:
    """One letter for each night; equal letters in ``keys`` are equal inputs, without any each night has its own."""
    keys = keys or "".join(chr(ord("A") + at) for at in range(len(statuses)))
    return [Seen(f"n{at}", _WORDS[each], key) for at, (each, key) in enumerate(zip(statuses, keys, strict=True))]


@pytest.mark.parametrize(
    "statuses, trend, since",
    [
        ("p", Trend.PASSING, "n0"),
        ("f", Trend.FAILING, "n0"),
        ("ppp", Trend.PASSING, "n0"),
        ("ppf", Trend.NEW_FAILURE, "n2"),
        ("pfc", Trend.FAILING, "n1"),
        ("ffp", Trend.FIXED, "n2"),
        ("fpp", Trend.PASSING, "n1"),
        ("pfpf", Trend.FLAKY, "n1"),
        ("pfp", Trend.FIXED, "n2"),
        ("pss", Trend.SKIPPED, "n1"),
        ("pee", Trend.UNKNOWN, "n1"),
        ("pef", Trend.NEW_FAILURE, "n2"),
        ("psp", Trend.PASSING, "n0"),
    ],
)
def test_trends(statuses: str, trend: Trend, since: str) -> None:
    judged = judge(row(statuses))
    assert (judged.trend, judged.since) == (trend, since)


def test_no_night_says_nothing() -> None:
    assert judge([]).trend is Trend.UNKNOWN


def test_another_result_from_equal_inputs_is_flaky() -> None:
    assert judge(row("ppf", "AAB")).trend is Trend.NEW_FAILURE
    assert judge(row("ppf", "ABB")).trend is Trend.FLAKY
    assert judge(row("ppf", "ABB")).since == "n2"


def test_tries_that_differ_are_flaky_and_count_in_the_rate() -> None:
    seen = [*row("pp"), Seen("n2", "fail", "C", ("fail", "pass", "fail"))]
    judged = judge(seen)
    assert judged.trend is Trend.FLAKY and judged.since == "n2"
    assert judged.rate == pytest.approx(2 / 5)
