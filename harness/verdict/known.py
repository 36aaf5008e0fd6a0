"""Splats that are known: told with the reason why, and without weight in the verdict. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from harness.model import Known, Outcome, Pattern, Splat

_VERSION = re.compile(r"\d+(?:\.\d+)*")


def valid(patterns: Iterable[Pattern], version: str, today: datetime.date) -> tuple[Pattern, ...]:
    """The patterns that still hold for a kernel of this version."""
    return tuple(pattern for pattern in patterns if not expired(pattern, version, today))


def expired(pattern: Pattern, version: str, today: datetime.date) -> bool:
    """Whether the pattern's time is over: its day has passed, or the kernel has the version that puts it right."""
    if "-" in pattern.until:
        return today > datetime.date.fromisoformat(pattern.until)
    return bool(pattern.until) and _numbers(version) >= _numbers(pattern.until)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def sort(
    splats: Sequence[Splat], patterns: Iterable[Pattern], target: str
) -> tuple[tuple[Splat, ...], tuple[Known, ...]]:
    """``splats`` that count, and those that do not."""
    mine = [pattern for pattern in patterns if fnmatchcase(target, pattern.target or "*")]
    pairs = [(splat, next((each for each in mine if matches(each, splat)), None)) for splat in splats]
    return (
        tuple(splat for splat, pattern in pairs if pattern is None),
        tuple(Known(splat, pattern) for splat, pattern in pairs if pattern is not None),
    )


def matches(pattern: Pattern, splat: Splat) -> bool:
    """Whether the pattern is about this splat. One that is cut may be anything, so no pattern is."""
    right_kind = pattern.kind in ("", splat.kind.value)
    return right_kind and not splat.corrupted and fnmatchcase(splat.title, pattern.title)


def settle(outcome: Outcome, patterns: Sequence[Pattern], target: str) -> Outcome:
    """``outcome`` with its known splats set apart."""
    splats, known = sort(outcome.splats, patterns, target)
    return dataclasses.replace(outcome, splats=splats, known=known)


def notes(
    patterns: Iterable[Pattern], found: Iterable[Known], version: str, today: datetime.date, *, complete: bool
) -> tuple[str, ...]:
    """What is to be said of patterns that are of no use. ``complete``: every scenario was asked for."""
    used = {each.pattern for each in found}
    told = []
    for pattern in patterns:
        name = f"known splat {pattern.title!r} ({pattern.origin})"
        if expired(pattern, version, today):
            told.append(f"{name} counts again: it was known until {pattern.until}")
        elif complete and pattern not in used:
            told.append(f"{name} was not seen; if that is so on every target and flavour, take it out")
    return tuple(told)
