"""The values that pass between the modules of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Unit(StrEnum):
    """What a number counts."""

    SECONDS = "s"
    BYTES = "B"
    TIMES = "x"  # a ratio
    COUNT = ""


@dataclass(frozen=True)
class Limit:
    """What the median of a measure is held against."""

    value: float  # in the measure's unit
    at_least: bool = False  # the median must not be below; otherwise it must not be above

    def holds(self, median: float) -> bool:
        """Whether ``median`` keeps it."""
        return median >= self.value if self.at_least else median <= self.value


@dataclass(frozen=True)
class Measure:
    """One row of the table: what was measured, of whom, and every number of it."""

    case: str  # letter of the case, e.g. a
    what: str  # the work that was measured
    who: str  # who did it: kph, make, virtme-ng
    unit: Unit
    values: tuple[float, ...]  # one per run, in the order of the runs; empty when there is none
    limit: Limit | None = None
    note: str = ""  # how to read the number
    failure: str = ""  # why there are no numbers, or fewer than asked for


@dataclass(frozen=True)
class CaseResult:
    """What one case brought."""

    key: str  # letter
    title: str
    measures: tuple[Measure, ...]
    seconds: float  # what measuring took
    load: tuple[float, float]  # the machine's load (one minute) before and after
    failure: str = ""  # why the case ended before its end


@dataclass(frozen=True)
class Report:
    """One run of the benchmark."""

    began: str  # date and time, UTC
    machine: Mapping[str, str]  # name -> value, in the order of the table
    runs: int  # repetitions asked for
    cases: tuple[CaseResult, ...] = field(default_factory=tuple)
