"""The report for programs: one JSON object, described by ``kph schema bisect``."""

from __future__ import annotations

import json
from typing import Any

from harness.campaign.bisect.history import Commit
from harness.campaign.bisect.order import Found
from harness.report import clean
from harness.report.bisection import facts

SCHEMA = "kph.bisect.v1"


def render(found: Found) -> str:
    """The object, with its last line ended."""
    return json.dumps(document(found), indent=1) + "\n"


def document(found: Found) -> dict[str, Any]:
    """The object."""
    request, took = found.order.request, facts.numbers(found)
    return {
        "schema": SCHEMA,
        "folder": str(found.folder),
        "tree": request.tree,
        "target": request.targets[0].name,
        "flavour": request.flavours[0],
        "suite": request.suite.name,
        "scenario": found.order.test,
        "find_fix": found.order.mends,
        "flaky": found.order.flaky,
        "proved": found.proved,
        "conclusion": clean.whole(found.conclusion),
        "signature": str(found.signature) if found.signature else None,
        "older": _commit(found.old),
        "newer": _commit(found.new),
        "culprit": {**_commit(found.culprit), "confidence": found.confidence} if found.culprit else None,
        "suspects": [{**_commit(commit), "chance": chance} for commit, chance in found.suspects],
        "proof": [{"what": each.what, "held": each.held, "why": clean.whole(each.why)} for each in found.findings],
        "steps": [
            {
                "name": step.name,
                "subject": clean.whole(step.subject),
                "mark": str(step.mark),
                "reason": clean.whole(step.reason),
                "shown": test.shown,
                "hidden": test.hidden,
                "how": step.how,
                "seconds": round(step.seconds, 1),
                "left": step.left,
                "evidence": test.evidence,
            }
            for step, test in zip(facts.steps(found), found.tests, strict=True)
        ],
        "numbers": {
            "commits": took.commits,
            "pruned": took.pruned,
            "tests": took.tests,
            "builds": took.builds,
            "shared": took.shared,
            "kept": took.kept,
            "skipped": took.skipped,
            "runs": took.runs,
            "seconds": round(took.seconds, 1),
            "known": round(took.known, 1),
        },
    }


def _commit(commit: Commit) -> dict[str, str]:
    return {
        "id": commit.id,
        "subject": clean.whole(commit.subject),
        "author": clean.whole(commit.author),
        "date": commit.date,
    }
