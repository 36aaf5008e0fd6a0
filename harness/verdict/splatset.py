"""Splats of two kernels: which are new, and how often each was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model import Splat, SplatKind
from harness.verdict import generic

_FRAMES = 3  # own frames that make two splats the same although their titles differ
# Where a stall or hang is noticed is chance: one shared function is enough.
_WANDERING = (SplatKind.RCU_STALL, SplatKind.SOFT_LOCKUP, SplatKind.HUNG_TASK)


@dataclass(frozen=True)
class Count:
    """Splats that are the same bug."""

    splat: Splat  # the first one that is not corrupted, or the first one
    times: int  # how many there are


def same(one: Splat, other: Splat) -> bool:
    """Whether two splats are the same bug: kind and title, or kind and the first own frames."""
    if one.kind is not other.kind:
        return False
    if one.title == other.title:
        return True
    mine, theirs = generic.own(one.frames), generic.own(other.frames)
    if one.kind in _WANDERING:
        return bool(set(mine) & set(theirs))
    return bool(mine) and mine[:_FRAMES] == theirs[:_FRAMES]


def tally(splats: Iterable[Splat]) -> tuple[Count, ...]:
    """Equal splats counted, in the order of their first occurrence."""
    groups: list[list[Splat]] = []
    for splat in splats:
        group = next((group for group in groups if same(group[0], splat)), None)
        if group is None:
            groups.append([splat])
        else:
            group.append(splat)
    return tuple(Count(_best(group), len(group)) for group in groups)


def new_splats(base: Sequence[Splat], patched: Sequence[Splat]) -> tuple[Splat, ...]:
    """The splats of ``patched`` that ``base`` does not have, one for each bug."""
    return tuple(count.splat for count in tally(patched) if not any(same(known, count.splat) for known in base))


def _best(group: Sequence[Splat]) -> Splat:
    return next((splat for splat in group if not splat.corrupted), group[0])
