"""What the benchmark reads in a run's report.json and commands.log. Pure: the one place that knows their fields."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.turns import NotMeasured

Document = Mapping[str, Any]

_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def phase(report: Document, name: str, side: str = "", target: str = "") -> float:
    """Seconds of the phase ``name``, all of that name together. Raises NotMeasured when the run had none."""
    found = [
        float(each["seconds"])
        for each in report["timings"]
        if each["name"] == name and (not side or each["side"] == side) and (not target or each["target"] == target)
    ]
    if not found:
        raise NotMeasured(f"the run's report has no phase {' '.join(filter(None, (name, side, target)))}")
    return sum(found)


def ran(report: Document, side: str) -> int:
    """Scenarios that ran on ``side``: all but those that were skipped."""
    outcomes = (row[side] for row in report["scenarios"])
    return sum(1 for each in outcomes if each is not None and each["status"] != "skip")


def share(report: Document, side: str, scenarios: int = 50) -> float:
    """Seconds that the suite would add to a run if it had so many scenarios. Raises NotMeasured."""
    count = ran(report, side)
    if not count:
        raise NotMeasured(f"no scenario ran on {side}")
    return phase(report, "scenarios", side) * scenarios / count


def verdict(report: Document) -> str:
    """The verdict with its reasons, in one line."""
    reasons = "; ".join(report["reasons"])
    return f"{report['verdict']}: {reasons}" if reasons else str(report["verdict"])


def accelerators(report: Document) -> Mapping[str, str]:
    """What the guests of each target ran on, with the reason."""
    return {str(each["name"]): str(each["accelerator"]) for each in report["targets"] if each["accelerator"]}


@dataclass(frozen=True)
class Command:
    """One line of commands.log."""

    folder: str  # where it ran; empty: where the harness did
    env: Mapping[str, str]  # what was added to the environment
    argv: tuple[str, ...]


def command(line: str) -> Command:
    """The inverse of harness.proc.paste."""
    words = shlex.split(line)
    folder = ""
    if words[:1] == ["cd"] and words[2:3] == ["&&"]:
        folder, words = words[1], words[3:]
    env: dict[str, str] = {}
    while words and _ASSIGNED.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return Command(folder, env, tuple(words))


def kernel_make(log: str) -> Command:
    """The last make in commands.log that built a kernel, not a configuration or a module. Raises NotMeasured."""
    for line in reversed(log.splitlines()):
        made = command(line)
        if made.argv[:1] == ("make",) and "vmlinux" in made.argv and not _has(made.argv, "M="):
            return made
    raise NotMeasured("the run's commands.log has no make of vmlinux")


def only(made: Command, goal: str) -> tuple[str, ...]:
    """The same make with ``goal`` as its only goal."""
    kept = [word for word in made.argv[1:] if word.startswith("-") or "=" in word or word.startswith("/")]
    return ("make", *kept, goal)


def output_folder(made: Command) -> str:
    """The O= of a make. Raises NotMeasured."""
    for word in made.argv:
        if word.startswith("O="):
            return word[2:]
    raise NotMeasured("the run's make had no output directory")


def cycles(report: Document, side: str) -> tuple[float, ...]:
    """Seconds from the beginning of one scenario to that of the next: the scenario, and a pristine kernel for the next.

    For runs that have one worker on one target; scenarios that were skipped are left out. Raises NotMeasured.
    """
    outcomes = [row[side] for row in report["scenarios"] if row[side] is not None]
    began = sorted((float(each["started"]), str(each["status"])) for each in outcomes if each.get("started"))
    phases = [each for each in report["timings"] if each["name"] == "scenarios" and each["side"] == side]
    if not began or not phases:
        raise NotMeasured(f"the run's report does not say when the scenarios on {side} began")
    ends = [moment for moment, _ in began[1:]] + [float(phases[0]["started"]) + float(phases[0]["seconds"])]
    pairs = zip(began, ends, strict=True)
    return tuple(end - moment for (moment, status), end in pairs if status != "skip")


def _has(argv: Sequence[str], start: str) -> bool:
    return any(word.startswith(start) for word in argv)
