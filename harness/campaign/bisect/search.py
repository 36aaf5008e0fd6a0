"""Where to look next: noisy bisection over a graph of commits (pure).

Each commit of the graph may be the culprit, all with the same probability at
first. A kernel shows the symptom, at its rate, if and only if the culprit is the
commit it was built from or an ancestor of it; with ``mends``, if and only if it
is neither. So one run with the symptom is certain, and a run without it is worth
what the rate says. The next commit to test is the one from which the most is to
be learned (bits of entropy) for what it costs; with a symptom that always shows
that is the one in the middle, as in git bisect, were it not that some commits are
likelier than others. That guides the search and is no evidence: a culprit is
named, with its probability, as if all had been equally likely at first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness.campaign.bisect.history import Graph
from harness.campaign.bisect.rate import Rate

_NOTHING = 1e-9  # bits that are not worth a run


@dataclass(frozen=True)
class Seen:
    """What the runs on one commit gave."""

    shown: int = 0  # runs with the symptom
    hidden: int = 0  # runs without

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.shown + other.shown, self.hidden + other.hidden)


@dataclass(frozen=True)
class Costs:
    """What a test takes, in any unit of time."""

    build: float = 60.0  # a kernel that was not built yet
    run: float = 6.0  # one run of the scenario


class Contradiction(Exception):
    """No single commit explains what was seen; the message names two results that do not go together."""


@dataclass(frozen=True)
class Look:
    """A test to make."""

    commit: str
    runs: int  # more runs of it; fewer, when one shows the symptom


@dataclass(frozen=True)
class Search:
    """What is known, and what follows from it."""

    graph: Graph
    rate: Rate
    confidence: float = 0.95  # probability of the culprit at which the search ends
    mends: bool = False  # the culprit takes the symptom away
    seen: Mapping[str, Seen] = field(default_factory=dict)  # commits of the graph that were tested
    skipped: frozenset[str] = frozenset()  # commits that cannot be tested
    costs: Costs = field(default_factory=Costs)
    lasts: Mapping[str, int] = field(default_factory=dict)  # commits of the history that have the image of each
    likely: Mapping[str, float] = field(default_factory=dict)  # how much likelier than others commits are at first

    def after(self, commit: str, seen: Seen) -> Search:
        """The same after more runs on ``commit``."""
        return replace(self, seen={**self.seen, commit: self.seen.get(commit, Seen()) + seen})

    def skip(self, commit: str) -> Search:
        """The same, knowing that ``commit`` cannot be tested."""
        return replace(self, skipped=self.skipped | {commit})

    # --- what is known ---------------------------------------------------------
    def check(self) -> None:
        """Raises Contradiction unless some commit explains all that was seen."""
        if self.graph.nodes and not self._classes:
            shown = [name for name, seen in self.seen.items() if seen.shown]
            hidden = [name for name, seen in self.seen.items() if seen.hidden and not seen.shown]
            raise Contradiction(
                f"bad are {', '.join(name[:12] for name in shown)}, good are {', '.join(name[:12] for name in hidden)}"
            )

    @property
    def suspects(self) -> tuple[tuple[str, float], ...]:
        """The commits that may be the culprit, with their probabilities, the most likely first."""
        found = [(self.graph.nodes[bit], weight) for mask, weight in self._classes for bit in _bits(mask)]
        return tuple(sorted(found, key=lambda each: (-each[1], self.graph.index[each[0]])))

    @property
    def culprit(self) -> tuple[str, float] | None:
        """The culprit and its probability, once that is enough."""
        first = next(iter(self.suspects[:1]), None)
        return first if first and first[1] >= self.confidence else None

    @cached_property
    def _classes(self) -> tuple[tuple[int, float], ...]:
        """Sets of commits with the same probability each, which is that of one of them."""
        return self._after([(self._everything, 1.0)])

    @cached_property
    def _guesses(self) -> tuple[tuple[int, float], ...]:
        """The same, for choosing where to look, of commits that are not equally likely at first."""
        masks: dict[float, int] = {1.0: self._everything}
        for name, weight in self.likely.items():
            bit = 1 << self.graph.index[name]
            masks[1.0] &= ~bit
            masks[weight] = masks.get(weight, 0) | bit
        return self._after([(mask, weight) for weight, mask in masks.items()])

    def _after(self, classes: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
        """What all that was seen makes of ``classes``."""
        for commit, seen in self.seen.items():
            having = self._having(commit)
            if seen.shown:
                classes = [(mask & having, weight) for mask, weight in classes]
            elif seen.hidden:
                miss = self.rate.miss(seen.hidden)
                halves = [(mask & having, weight * miss) for mask, weight in classes]
                classes = halves + [(mask & ~having, weight) for mask, weight in classes]
            classes = [(mask, weight) for mask, weight in classes if mask and weight]
        total = sum(mask.bit_count() * weight for mask, weight in classes)
        return tuple((mask, weight / total) for mask, weight in classes)

    def _having(self, commit: str) -> int:
        """The commits each of which, if it is the culprit, lets ``commit`` have the symptom."""
        below = self.graph.reach[self.graph.index[commit]]
        return below ^ self._everything if self.mends else below

    @property
    def _everything(self) -> int:
        """All commits of the graph."""
        return (1 << len(self.graph.nodes)) - 1

    def chance_of(self, commit: str) -> float:
        """The probability that ``commit`` is the culprit."""
        return dict(self.suspects).get(commit, 0.0)

    def covers(self, commit: str, other: str) -> bool:
        """Whether ``commit`` has the cause for each culprit with which ``other`` has it: what it says is worth more."""
        return self._having(other) & ~self._having(commit) == 0

    def chance(self, commit: str) -> float:
        """The probability that ``commit`` has the cause of the symptom."""
        having = self._having(commit)
        return sum((mask & having).bit_count() * weight for mask, weight in self._classes)

    # --- where to look next ------------------------------------------------------
    def next(self, number: int = 1, busy: Collection[str] = ()) -> tuple[Look, ...]:
        """Up to ``number`` tests to make at once, best first; none when nothing can be learned any more.

        ``busy``: commits that are being tested. Of several tests each splits what the others leave.
        """
        looks: list[Look] = []
        chosen = list(busy)
        while len(looks) < number and (look := self._best(chosen)):
            looks.append(look)
            chosen.append(look.commit)
        return tuple(looks)

    def _best(self, chosen: Sequence[str]) -> Look | None:
        best: tuple[float, Look] | None = None
        runs = self._runs
        parts = self._split(chosen)
        for commit in self.graph.nodes:
            if commit in self.skipped or commit in chosen:
                continue
            gain = self._gain(commit, runs, parts)
            if gain <= _NOTHING:
                continue
            cost = (0.0 if commit in self.seen else self.costs.build) + runs * self.costs.run
            worth = gain * self._testable(commit) / cost
            if best is None or worth > best[0] * (1 + 1e-9):
                best = worth, Look(commit, runs)
        return best[1] if best else None

    @cached_property
    def _runs(self) -> int:
        """Runs of one test without the symptom that leave, over all tests to come, half of the doubt allowed."""
        if self.rate.always:
            return 1
        left = sum(mask.bit_count() for mask, _ in self._classes)
        return self.rate.runs_for((1 - self.confidence) / 2 / max(1, math.ceil(math.log2(left))))

    def _split(self, chosen: Iterable[str]) -> list[tuple[int, float]]:
        """The classes, cut by the tests that are being made, each as if alone in the world."""
        parts = list(self._guesses)
        for commit in chosen:
            having = self._having(commit)
            parts = [half for mask, weight in parts for half in ((mask & having, weight), (mask & ~having, weight))]
            parts = [(mask, weight) for mask, weight in parts if mask]
        return parts

    def _gain(self, commit: str, runs: int, parts: Sequence[tuple[int, float]]) -> float:
        """Bits that a test of ``commit`` is expected to give."""
        having, before = self._having(commit), self.seen.get(commit, Seen()).hidden
        show = 1 - self.rate.miss(before + runs) / self.rate.miss(before) if self.rate.miss(before) else 1.0
        if len(parts) == len(self._guesses):
            chance = sum((mask & having).bit_count() * weight for mask, weight in parts)
            return _entropy(chance * show) - chance * _entropy(show)
        return self._gain_beside(having, show, parts)

    def _gain_beside(self, having: int, show: float, parts: Sequence[tuple[int, float]]) -> float:
        """The same on average over what the tests beside it may say: each part is one of their answers, about."""
        gain = 0.0
        for mask, weight in parts:
            size = mask.bit_count()
            chance = (mask & having).bit_count() / size
            gain += size * weight * (_entropy(chance * show) - chance * _entropy(show))
        return gain

    def _testable(self, commit: str) -> float:
        """How likely ``commit`` can be tested.

        What does not build or boot is mended soon, so an image that many commits have is a good one more often. And
        a fault that hinders a test lasts from the commit that brought it to the one that mends it, so the neighbours
        of a skipped commit are skipped themselves more often than not.
        """
        lasting = 1 - 0.25 / max(1, self.lasts.get(commit, 1))
        here = self.graph.index[commit]
        near = min((abs(here - self.graph.index[each]) for each in self.skipped), default=None)
        return lasting if near is None else lasting * (1 - 0.9 * 0.5 ** (near - 1))


def _entropy(chance: float) -> float:
    """Of a coin, in bits."""
    if not 0 < chance < 1:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
