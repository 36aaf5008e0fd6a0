"""The report as JSON, every number of every run in it. Pure."""

from __future__ import annotations

from typing import Any

from benchmarks import stats
from benchmarks.model import CaseResult, Measure, Report

SCHEMA = "kph.bench.v1"


def document(report: Report) -> dict[str, Any]:
    """As JSON values."""
    return {
        "schema": SCHEMA,
        "began": report.began,
        "machine": dict(report.machine),
        "runs": report.runs,
        "cases": [_case(case) for case in sorted(report.cases, key=lambda each: each.key)],
    }


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "key": case.key,
        "title": case.title,
        "seconds": round(case.seconds, 1),
        "load": list(case.load),
        "failure": case.failure,
        "measures": [_measure(measure) for measure in case.measures],
    }


def _measure(measure: Measure) -> dict[str, Any]:
    found = stats.summary(measure.values)
    held = measure.limit
    return {
        "what": measure.what,
        "who": measure.who,
        "unit": measure.unit.value,
        "values": [round(value, 6) for value in measure.values],
        "median": None if found is None else round(found.median, 6),
        "min": None if found is None else round(found.low, 6),
        "max": None if found is None else round(found.high, 6),
        "limit": None if held is None else {"value": held.value, "at_least": held.at_least},
        "holds": None if held is None or found is None else held.holds(found.median),
        "note": measure.note,
        "failure": measure.failure,
    }
