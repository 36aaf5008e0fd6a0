"""What a run's folder adds to the history: its report.json. It may be gone, or not be what it should."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.campaign.nightly.records import Cell

_LARGEST = 64 * 1024 * 1024  # bytes of a report that is read


@dataclass(frozen=True)
class Phase:
    """Where time went."""

    name: str
    started: float  # seconds since the start of the run
    seconds: float


@dataclass(frozen=True)
class Step:
    """A step of a scenario that did not hold."""

    index: str
    text: str
    expected: str
    got: str


@dataclass(frozen=True)
class Report:
    """The parts of a run's report that its page shows."""

    reasons: tuple[str, ...] = ()
    series: str = ""  # its title
    phases: tuple[Phase, ...] = ()
    summaries: tuple[tuple[str, str], ...] = ()  # scenario and what it is about
    steps: tuple[tuple[str, tuple[Step, ...]], ...] = ()  # scenario and the steps that did not hold

    def summary(self, scenario: str) -> str:
        return dict(self.summaries).get(scenario, "")

    def failed(self, scenario: str) -> tuple[Step, ...]:
        return dict(self.steps).get(scenario, ())


def report_file(cell: Cell) -> Path | None:
    """None when there is none of a bearable size."""
    if not cell.folder:
        return None
    file = Path(cell.folder) / "report.json"
    try:
        return file if file.is_file() and file.stat().st_size <= _LARGEST else None
    except OSError:
        return None


def stamp(file: Path | None) -> str:
    """What changes with the file."""
    try:
        facts = file.stat() if file else None
    except OSError:
        facts = None
    return f"{facts.st_size} {facts.st_mtime_ns}" if facts else ""


def read(cell: Cell) -> Report:
    """An empty report when the file is gone or is none of ours."""
    file = report_file(cell)
    try:
        return _report(json.loads(file.read_bytes()), cell) if file else Report()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Report()


def _report(document: dict[str, Any], cell: Cell) -> Report:
    rows = [
        row
        for row in document["scenarios"]
        if row["target"] == cell.place.target and row["flavour"] == cell.place.flavour
    ]
    phases = [
        Phase(
            " ".join(filter(None, (each["name"], each["side"]))), float(each.get("started", 0)), float(each["seconds"])
        )
        for each in document["timings"]
    ]
    steps = []
    for row in rows:
        outcome = row["patched"] or row["base"] or {"steps": ()}
        wrong = tuple(
            Step(str(step["index"]), str(step["text"]), str(step["expected"]), str(step["got"]))
            for step in outcome["steps"]
            if not step["ok"]
        )
        if wrong:
            steps.append((str(row["id"]), wrong))
    return Report(
        reasons=tuple(map(str, document["reasons"])),
        series=str(document["series"]["title"]) if document["series"] else "",
        phases=tuple(phases),
        summaries=tuple((str(row["id"]), str(row["summary"])) for row in rows),
        steps=tuple(steps),
    )
