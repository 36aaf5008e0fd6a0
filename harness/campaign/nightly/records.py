"""What a history is made of: nights, cells, results, bisections. Frozen; ids are those of the data base."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NightState(StrEnum):
    """How far a night is."""

    RUNNING = "running"
    DONE = "done"
    CUT = "cut"  # it was killed, and another one has begun in its place or will


class CellState(StrEnum):
    """How far a cell of a night is."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"  # it has results
    UNCHANGED = "unchanged"  # its inputs are those of an earlier cell, whose results it has
    DROPPED = "dropped"  # there was no time for it
    FAILED = "failed"  # the harness or the host failed; reason says how


class Trend(StrEnum):
    """A scenario's verdict, seen over the nights."""

    NEW_FAILURE = "new failure"  # failed last, and passed before that
    FAILING = "failing"
    FIXED = "fixed"  # passed last, and failed before that
    FLAKY = "flaky"  # changes back and forth without a change of its inputs, or passes when it is tried again
    PASSING = "passing"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # no evidence


@dataclass(frozen=True)
class Place:
    """Where a scenario is run, night after night."""

    tree: str  # its name in the file
    series: str  # its name in the file; empty: the tree alone
    target: str
    flavour: str  # "base" when there is none
    suite: str

    def __str__(self) -> str:
        flavour = "" if self.flavour == "base" else f" ({self.flavour})"
        return f"{self.tree}{f' + {self.series}' if self.series else ''}, {self.target}{flavour}, {self.suite}"


@dataclass(frozen=True)
class Night:
    """One call of ``kph nightly``, with what continued it."""

    id: int
    name: str  # of the file's nights
    started: str  # ISO 8601, UTC
    ended: str  # empty while it runs, and when it was cut
    state: NightState
    version: str  # digest of the harness: results of two are compared with care


@dataclass(frozen=True)
class Cell:
    """One place in one night."""

    id: int
    night: int
    place: Place
    spec: str  # tree as in the file
    commit: str  # full id of the base commit
    version: str  # kernel version, e.g. 7.3.4
    key: str  # digest of all inputs: equal key, nothing to run again
    state: CellState
    verdict: str = ""  # pass, fail, error; empty without results
    reason: str = ""  # why, in one line
    seconds: float = 0.0  # wall time; of the earlier cell when unchanged
    folder: str = ""  # run directory with report.json and the evidence
    same: int = 0  # the earlier cell whose results these are; 0: its own
    accelerator: str = ""
    started: str = ""  # ISO 8601, UTC
    repo: str = ""  # git repository that has the commit


@dataclass(frozen=True)
class Result:
    """One scenario in one cell."""

    cell: int
    scenario: str
    base: str  # status on the base kernel; empty when there is no series
    status: str  # status on the kernel under test: with the series if there is one
    change: str  # base against patched, see harness.model.Change
    reason: str = ""  # one line
    seconds: float = 0.0
    splats: tuple[str, ...] = ()  # "kind: title" of each, on the kernel under test
    evidence: str = ""  # folder, absolute; may be gone by now
    tries: tuple[str, ...] = ()  # statuses of the runs when it was tried again, in order
    quarantined: str = ""  # why its failure does not count; empty when it does


@dataclass(frozen=True)
class Bisected:
    """What a bisection of a regression came to."""

    id: int
    cell: int
    scenario: str
    culprit: str  # commit id; empty when there is none
    subject: str
    author: str
    proved: bool
    conclusion: str
    folder: str  # with its reports


@dataclass(frozen=True)
class Verdict:
    """A scenario's verdict over the nights at one place, as of the last of them."""

    place: Place
    scenario: str
    trend: Trend
    since: str  # when the present state, or the flakiness, began: started of that night
    rate: float  # share of failures among the runs that say something, over the window
    last: Result


BAD = frozenset(("fail", "crash", "hang"))
"""Statuses that count against a kernel."""
