"""What counts as bad: the failure as it was seen at the start, and nothing else (pure)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model import Outcome, Splat, SplatKind, Status
from harness.verdict import splatset

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|(?<![A-Za-z0-9_])-?\d+")


class Mark(StrEnum):
    """What a run, or all runs on one commit, say of it."""

    GOOD = "good"  # the scenario passed, and the symptom was not there
    BAD = "bad"  # the symptom was there
    SKIP = "skip"  # the commit does not build or boot, or lacks what the scenario needs
    UNKNOWN = "unknown"  # it failed in another way, which says nothing of the symptom


@dataclass(frozen=True)
class Signature:
    """The symptom. One of: a splat, a title of splats, a step that fails in one way, a boot that fails."""

    status: str  # of the scenario: fail, crash, hang; pass for a splat in a scenario that passes; boot
    step: str = ""  # where it failed, numbers masked; empty: a splat tells
    got: str = ""  # what came in place of what was expected, numbers masked
    splat: Splat | None = None  # without its text
    title: str = ""  # of a splat, with wildcards, as the user named it

    def __str__(self) -> str:
        if self.title:
            return f"a splat titled {self.title!r}"
        if self.splat is not None:
            return f"{self.splat.kind}: {self.splat.title}"
        where = "in boot" if self.status == "boot" else f"at {self.step}"
        return f"{self.status} {where}: {self.got}" if self.got else f"{self.status} {where}"


@dataclass(frozen=True)
class Reading:
    """One run, read against a signature."""

    mark: Mark
    reason: str  # one line; empty when it is good


def lock(outcome: Outcome, boot_splats: Sequence[Splat], before: Iterable[Splat], booted: bool) -> Signature | None:
    """The signature of a failure; None when nothing failed.

    ``before``: splats of the kernel without the failure, which are no symptom. A crash is told by its first new splat,
    an expectation that does not hold by its step, whatever else the kernel printed then.
    """
    fresh = splatset.new_splats(tuple(before), (*outcome.splats, *boot_splats))
    splat = _bare(fresh[0]) if fresh else None
    if not booted:
        return Signature("boot", got="" if splat else masked(outcome.reason), splat=splat)
    if outcome.status in (Status.FAIL, Status.HANG):
        return Signature(str(outcome.status), *_failed(outcome))
    if outcome.status is Status.CRASH:
        return Signature("crash", *(("", "") if splat else _failed(outcome)), splat=splat)
    return Signature(str(outcome.status), splat=splat) if splat else None


def read(signature: Signature, outcome: Outcome, boot_splats: Sequence[Splat], booted: bool) -> Reading:
    """What a run says under ``signature``."""
    splats = (*boot_splats, *outcome.splats)
    if shown := _shows(signature, outcome, splats, booted):
        return Reading(Mark.BAD, shown)
    if not booted:
        return Reading(Mark.SKIP, f"does not boot: {outcome.reason}")
    if outcome.status is Status.SKIP:
        return Reading(Mark.SKIP, f"cannot be tested: {outcome.reason}")
    if outcome.status is Status.PASS:
        return Reading(Mark.GOOD, "")
    if signature.title and outcome.status is Status.FAIL:
        return Reading(Mark.GOOD, f"no such splat ({outcome.status}: {outcome.reason})")
    return Reading(Mark.UNKNOWN, f"another failure: {outcome.status}: {outcome.reason}")


def together(readings: Sequence[Reading]) -> Reading:
    """All runs on one commit as one: the symptom wins, then what says nothing."""
    for mark in (Mark.BAD, Mark.UNKNOWN, Mark.SKIP):
        found = [reading for reading in readings if reading.mark is mark]
        if found:
            return found[0]
    return readings[0]


def _shows(signature: Signature, outcome: Outcome, splats: Sequence[Splat], booted: bool) -> str:
    """The symptom in this run, or nothing."""
    if signature.title:
        return next((s.title for s in splats if fnmatch.fnmatchcase(s.title, signature.title)), "")
    if signature.splat is not None:
        wanted = signature.splat
        return next((splat.title for splat in splats if splatset.same(wanted, splat)), "")
    if signature.status == "boot":
        return "" if booted or masked(outcome.reason) != signature.got else outcome.reason
    if not booted or str(outcome.status) != signature.status:
        return ""
    return outcome.reason if _failed(outcome) == (signature.step, signature.got) else ""


def _failed(outcome: Outcome) -> tuple[str, str]:
    """The step that failed and what came, the same for two runs of one failure; the reason where no step did."""
    step = next((step for step in reversed(outcome.steps) if not step.ok), None)
    if step is None:
        return masked(outcome.reason), ""
    return f"step {step.index}, {masked(step.text)}", masked(step.got)


def masked(text: str) -> str:
    """``text`` without what varies from run to run: numbers that are not part of a name."""
    return _NUMBER.sub("#", text)


def _bare(splat: Splat) -> Splat:
    return Splat(SplatKind(splat.kind), splat.title, splat.frames, (), 0, splat.corrupted)
