"""What a module of benchmarks/cases has, and how it is run."""

from __future__ import annotations

import importlib
import os
import pkgutil
import time
from collections.abc import Sequence
from typing import Protocol, cast

from benchmarks import cases, stats
from benchmarks.bench import Bench
from benchmarks.model import CaseResult, Limit, Measure, Unit
from benchmarks.turns import TROUBLE, Taken, reason


class Case(Protocol):
    """A letter of the table."""

    KEY: str  # the letter
    TITLE: str
    ORDER: int  # those with lower numbers are measured first: cold builds leave what the others start from

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measure it. What only a part of it lacks is in that part's measure; raises TROUBLE."""


def found() -> tuple[Case, ...]:
    """Every case, in the order in which they are measured."""
    modules = (
        importlib.import_module(f"benchmarks.cases.{each.name}") for each in pkgutil.iter_modules(cases.__path__)
    )
    return tuple(sorted((cast(Case, each) for each in modules), key=lambda each: (each.ORDER, each.KEY)))


def run(case: Case, bench: Bench) -> CaseResult:
    """Measure ``case``; it never stops the others."""
    before, started = os.getloadavg()[0], time.monotonic()
    measures: Sequence[Measure] = ()
    failure = ""
    try:
        measures = case.measure(bench)
    except TROUBLE as error:
        failure = reason(error)
    load = (before, os.getloadavg()[0])
    return CaseResult(case.KEY, case.TITLE, tuple(measures), time.monotonic() - started, load, failure)


def seconds(
    key: str, what: str, who: str, taken: Taken, name: str = "seconds", limit: float | None = None, note: str = ""
) -> Measure:
    """The row of the numbers ``name`` of one of those who took turns; ``limit``: at most so many seconds."""
    held, values = None if limit is None else Limit(limit), taken.of(name)
    failure = taken.failure or ("" if values else "the run's report does not tell")
    return Measure(key, what, who, Unit.SECONDS, values, held, note, failure)


def ratio(
    key: str, what: str, who: str, values: tuple[float, ...], limit: Limit | None = None, note: str = ""
) -> Measure:
    """The row of a ratio."""
    return Measure(key, what, who, Unit.TIMES, values, limit, note, "" if values else "one of the two was not measured")


def ratios(key: str, what: str, ours: Taken, others: Taken, who: str, limit: Limit | None = None) -> Measure:
    """The ratio of the seconds of two who took turns."""
    return ratio(key, what, who, stats.pairwise(ours.of("seconds"), others.of("seconds")), limit)
