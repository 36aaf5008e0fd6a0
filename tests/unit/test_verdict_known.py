"""Splats that are known: which ones a pattern is about, for how long, and what is left of the scenario's result."""

from __future__ import annotations

import datetime

import pytest

from harness.model import Known, Outcome, Pattern, Splat, SplatKind, Status
from harness.verdict import known

TODAY = datetime.date(2026, 11, 25)
WARN = Splat(SplatKind.WARN, "WARNING in intel_mm_release", ("intel_mm_release",), ("WARNING",), 3)
UAF = Splat(SplatKind.KASAN, "KASAN: slab-use-after-free Read in prq_event_thread", (), ("BUG: KASAN",), 9)


def pattern(title: str = "WARNING in intel_*", **more: str) -> Pattern:
    return Pattern(title, "told on the list", **more)


def outcome(*splats: Splat, status: Status = Status.PASS, reason: str = "") -> Outcome:
    return Outcome("a", status, reason, 1.0, splats=splats)


@pytest.mark.parametrize(
    ("wanted", "one"),
    [
        (True, pattern()),
        (True, pattern(kind="warn")),
        (True, pattern("WARNING in intel_mm_release", target="x86_64-*")),
        (False, pattern("intel_mm_release")),
        (False, pattern(kind="lockdep")),
        (False, pattern(target="arm64-*")),
    ],
)
def test_a_pattern_is_about_title_kind_and_target(wanted: bool, one: Pattern) -> None:
    counts, not_counting = known.sort((WARN, UAF), (one,), "x86_64-vtd")
    assert counts == ((UAF,) if wanted else (WARN, UAF))
    assert not_counting == ((Known(WARN, one),) if wanted else ())


def test_a_report_that_is_cut_is_never_known() -> None:
    cut = Splat(SplatKind.WARN, WARN.title, (), ("WARNING",), 3, corrupted=True)
    assert known.sort((cut,), (pattern("*"),), "t") == ((cut,), ())


@pytest.mark.parametrize(
    ("until", "version", "over"),
    [
        ("", "7.3.4", False),
        ("2026-11-25", "7.3.4", False),
        ("2026-11-24", "7.3.4", True),
        ("7.4", "7.3.4", False),
        ("7.4", "7.4.0-rc1", True),
        ("7.10", "7.9.12", False),
        ("7.3.5", "7.3.4", False),
        ("7.3.4", "7.3.4", True),
    ],
)
def test_until(until: str, version: str, over: bool) -> None:
    one = pattern(until=until)
    assert known.expired(one, version, TODAY) is over
    assert known.valid((one,), version, TODAY) == (() if over else (one,))


@pytest.mark.parametrize("status", Status)
def test_a_known_splat_is_set_apart_and_excuses_nothing_else(status: Status) -> None:
    about_uaf = pattern("KASAN: *")
    settled = known.settle(outcome(WARN, UAF, status=status, reason="why"), (about_uaf,), "t")
    assert (settled.status, settled.reason, settled.splats) == (status, "why", (WARN,))
    assert settled.known == (Known(UAF, about_uaf),)


def test_patterns_of_no_use_are_told() -> None:
    used, unused, old = pattern(), pattern("x"), pattern("y", until="2026-01-01")
    found = (Known(WARN, used),)
    told = known.notes((used, unused, old), found, "7.3.4", TODAY, complete=True)
    assert len(told) == 2 and "'x'" in told[0] and "was not seen" in told[0]
    assert "'y'" in told[1] and "counts again" in told[1]
    few = known.notes((used, unused, old), found, "7.3.4", TODAY, complete=False)
    assert few == told[1:], "of some scenarios only, nobody can say that it is of no use"
