"""What every form of the report says: numbers, steps, and what was left to suspect after each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from harness.campaign.bisect.journal import Trial
from harness.campaign.bisect.order import Found
from harness.campaign.bisect.search import Search, Seen
from harness.campaign.bisect.signature import Mark
from harness.campaign.bisect.tester import short


@dataclass(frozen=True)
class Numbers:
    """What it took."""

    commits: int  # in the range
    pruned: int  # of them, those that touch nothing that the builds read
    tests: int  # of commits and what was made of them
    builds: int  # kernels that make was asked for
    shared: int  # tests that found their very image tested already
    kept: int  # tests whose runs were all made by an earlier bisection or run
    skipped: int  # commits that could not be tested
    runs: int  # of the scenario
    seconds: float  # wall time
    known: float  # of it, until the proof began; 0: it did not come to that


@dataclass(frozen=True)
class Step:
    """One test, and what it left."""

    number: int
    name: str  # commit id, or revert:ID
    shown: str  # for people
    subject: str
    mark: Mark
    reason: str
    runs: str  # "3 of 8 bad", or empty
    how: str  # built, from the cache, the very image of another
    seconds: float
    left: int | None  # commits that may be to blame afterwards; None when it was not for the search
    first: int = 0  # of those, the first and the last, as places among the commits that matter
    last: int = 0
    at: int | None = None  # its own place there


def numbers(found: Found) -> Numbers:
    """See Numbers."""
    history, pruned = found.history, found.pruned
    tests = found.journal.tests.values()
    count = len(history.commits) if history else 0
    return Numbers(
        commits=count,
        pruned=count - len(pruned.graph.nodes) if pruned else 0,
        tests=len(tests),
        builds=found.builds,
        shared=sum(bool(test.shared) for test in tests),
        kept=sum(test.kept for test in tests),
        skipped=sum(test.mark in (Mark.SKIP, Mark.UNKNOWN) for test in tests),
        runs=sum(test.shown + test.hidden for test in tests if not test.shared),
        seconds=found.seconds,
        known=found.known,
    )


def steps(found: Found) -> tuple[Step, ...]:
    """Every test in its order."""
    subjects = {found.old.id: found.old.subject, found.new.id: found.new.subject}
    subjects |= {commit.id: commit.subject for commit in (found.history.commits if found.history else ())}
    done = []
    search = _empty(found.search) if found.search else None
    for number, test in enumerate(found.tests, 1):
        what, _, commit = test.name.rpartition(":")
        subject = subjects.get(commit, "")
        node = found.pruned.same.get(test.name, "") if found.pruned else ""
        left, first, last, at = None, 0, 0, None
        if search is not None and node in search.graph.index:
            search, at = _after(search, node, test), search.graph.index[node]
            places = tuple(_places(search))
            left, first, last = len(places), min(places, default=0), max(places, default=0)
        done.append(
            Step(
                number,
                test.name,
                f"{what} {short(commit)}".strip(),
                f'Revert "{subject}"' if what else subject,
                test.mark,
                test.reason,
                _runs(test),
                _how(test),
                test.seconds,
                left,
                first,
                last,
                at,
            )
        )
    return tuple(done)


def _empty(search: Search) -> Search:
    return dataclasses.replace(search, seen={}, skipped=frozenset())


def _after(search: Search, node: str, test: Trial) -> Search:
    if test.mark in (Mark.SKIP, Mark.UNKNOWN):
        return search.skip(node)
    return search.after(node, Seen(test.shown, test.hidden))


def _places(search: Search) -> Iterator[int]:
    """Of the commits that may be to blame; those that are less likely than the doubt allows are left out."""
    doubt = (1 - search.confidence) / max(1, len(search.graph.nodes))
    return (search.graph.index[name] for name, chance in search.suspects if chance > doubt)


def _runs(test: Trial) -> str:
    count = test.shown + test.hidden
    return f"{test.shown} of {count} bad" if count > 1 else ""


def _how(test: Trial) -> str:
    if test.shared and test.built:
        return f"built, the very image of {short(test.shared)}"
    if test.shared:
        return f"as {short(test.shared)}"
    if test.kept:
        return "earlier results"
    return "built" if test.built else "from the cache" if test.identity else ""
