"""The report for programs. Its schema is harness/schema/run.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.model import Cell, IommuFault, Known, Outcome, Phase, Row, RunResult, Series, Splat, StepResult, Tree
from harness.report import View, clean, words

NAME = "json"
HELP = "everything, for programs; kph schema run prints its schema"
SCHEMA = "kph.run.v3"


def render(result: RunResult, view: View) -> str:
    """See Format.render."""
    text = json.dumps(_safe(document(result)), indent=1, ensure_ascii=True, allow_nan=False)
    return text.replace("\x7f", "\\u007f") + "\n"


def document(result: RunResult) -> dict[str, Any]:
    """The report as JSON values, before they are made safe for every reader."""
    return {
        "schema": SCHEMA,
        "verdict": result.verdict.value,
        "reasons": list(result.reasons),
        "run": str(result.run),
        "tree": _tree(result.tree),
        "series": None if result.series is None else _series(result.series),
        "suite": result.suite,
        "channel": result.channel,
        "seed": result.seed,
        "stress": result.stress,
        "targets": [_cell(cell) for cell in result.cells],
        "counts": _counts(result.rows),
        "seconds": _seconds(result.seconds),
        "notes": list(result.notes),
        "timings": [_phase(phase) for phase in result.phases],
        "scenarios": [_row(row) for row in result.rows],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.target,
        "flavour": cell.flavour,
        "verdict": cell.verdict.value,
        "reasons": list(cell.reasons),
        "accelerator": cell.accelerator,
        "counts": _counts(cell.rows),
        "boot_splats": [_splat(splat) for splat in cell.boot_splats],
        "known": [_known(each) for each in cell.known],
        "facts": dict(cell.facts),
        "notes": list(cell.notes),
    }


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    return {change.value: number for change, number in words.counts(rows).items()}


def _tree(tree: Tree) -> dict[str, Any]:
    return {"spec": tree.spec, "version": tree.version, "commit": tree.commit, "content": tree.content}


def _series(series: Series) -> dict[str, Any]:
    patches = [
        {
            "number": patch.number,
            "subject": patch.subject,
            "author": patch.author,
            "origin": patch.origin,
            "files": list(patch.files),
        }
        for patch in series.patches
    ]
    return {"specs": list(series.specs), "title": series.title, "patches": patches}


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "target": phase.target,
        "side": phase.side,
        "seconds": _seconds(phase.seconds),
        "note": phase.note,
        "started": _seconds(phase.started),
        "lane": phase.lane,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.scenario,
        "summary": row.summary,
        "target": row.target,
        "flavour": row.flavour,
        "base": None if row.base is None else _outcome(row.base),
        "patched": None if row.patched is None else _outcome(row.patched),
        "change": row.change.value,
        "new_splats": [_splat(splat) for splat in row.new_splats],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status.value,
        "reason": outcome.reason,
        "seconds": _seconds(outcome.seconds),
        "steps": [_step(step) for step in outcome.steps],
        "splats": [_splat(splat) for splat in outcome.splats],
        "known": [_known(each) for each in outcome.known],
        "faults": [_fault(fault) for fault in outcome.faults],
        "advice": list(outcome.advice),
        "measured": [{"what": each.what, "values": dict(each.values)} for each in outcome.measured],
        "lacking": outcome.lacking,
        "started": _seconds(outcome.started),
        "worker": outcome.worker,
        "earlier": None if outcome.earlier is None else str(outcome.earlier),
        "evidence": None if outcome.evidence is None else str(outcome.evidence),
    }


def _step(step: StepResult) -> dict[str, Any]:
    return {
        "index": step.index,
        "text": step.text,
        "ok": step.ok,
        "expected": step.expected,
        "got": step.got,
        "seconds": _seconds(step.seconds),
    }


def _splat(splat: Splat) -> dict[str, Any]:
    return {
        "kind": splat.kind.value,
        "title": splat.title,
        "frames": list(splat.frames),
        "text": list(splat.text),
        "line": splat.line,
        "corrupted": splat.corrupted,
        "places": [
            {"frame": place.frame, "function": place.function, "file": place.file, "line": place.line}
            for place in splat.places
        ],
    }


def _known(known: Known) -> dict[str, Any]:
    pattern = known.pattern
    return {
        "splat": _splat(known.splat),
        "pattern": pattern.title,
        "reason": pattern.reason,
        "link": pattern.link,
        "until": pattern.until,
        "origin": pattern.origin,
    }


def _fault(fault: IommuFault) -> dict[str, Any]:
    return {
        "device": fault.device,
        "address": f"{fault.address:#x}",  # a string: 64 bits do not fit into the numbers of many readers
        "reason": fault.reason,
        "pasid": fault.pasid,
        "write": fault.write,
    }


def _seconds(value: float) -> float:
    return round(max(value, 0.0), 3) if math.isfinite(value) else 0.0


def _safe(value: object) -> object:
    """``value`` in types and characters that every JSON reader takes."""
    if isinstance(value, Mapping):
        return {clean.whole(str(key)): _safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_safe(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return clean.whole(str(value))
