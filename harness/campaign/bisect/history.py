"""The commits between two revisions, and which of them are ancestors of which."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.errors import InfraError, UserError
from harness.source.git import Git

_LIMIT = 600.0  # seconds for a walk over the history
FORMAT = "%x01%H%x00%P%x00%aN <%aE>%x00%aI%x00%s"


@dataclass(frozen=True)
class Commit:
    """One commit as git has it."""

    id: str  # full commit id
    parents: tuple[str, ...]
    author: str  # Name <mail>
    date: str  # when it was written, ISO 8601
    subject: str

    @property
    def short(self) -> str:
        """Enough of the id for people; see `git help rev-parse` on --short."""
        return self.id[:12]


@dataclass(frozen=True)
class History:
    """Commits that ``new`` has and ``old`` has not, each after all of its parents; the last one is ``new``."""

    old: str
    new: str
    commits: tuple[Commit, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Commit]:
        return {commit.id: commit for commit in self.commits}

    def edges(self) -> tuple[tuple[str, str], ...]:
        """(parent, commit) for each parent of each commit; a parent may lie before the range."""
        return tuple((parent, commit.id) for commit in self.commits for parent in commit.parents)


@dataclass(frozen=True)
class Graph:
    """Commits and their ancestors among them, as bits: fast for ten thousand of them."""

    nodes: tuple[str, ...]  # each after all of its parents
    parents: Mapping[str, tuple[str, ...]]  # among the nodes
    reach: tuple[int, ...] = field(init=False, repr=False)  # for each node: bit i is set for itself and its ancestors
    index: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = {name: number for number, name in enumerate(self.nodes)}
        reach: list[int] = []
        for number, name in enumerate(self.nodes):
            bits = 1 << number
            for parent in self.parents.get(name, ()):
                bits |= reach[index[parent]]
            reach.append(bits)
        object.__setattr__(self, "reach", tuple(reach))
        object.__setattr__(self, "index", index)

    @staticmethod
    def line(names: Sequence[str]) -> Graph:
        """A history without branches, oldest first."""
        return Graph(tuple(names), {name: (before,) for before, name in itertools.pairwise(names)})


def read(git: Git, old: str, new: str) -> History:
    """The history from ``old`` (left out) to ``new``, both full commit ids.

    Raises UserError when there is none: ``old`` contains ``new``, or is not one of its ancestors.
    """
    if old == new:
        raise UserError(f"good and bad are the same commit {old[:12]}", "name the two ends of the range")
    if git.run("merge-base", "--is-ancestor", old, new, check=False).status != 0:
        raise InfraError(f"{old[:12]} is not an ancestor of {new[:12]}", "report this: their common one is")
    words = ("log", "--topo-order", "--reverse", f"--format={FORMAT}", new, f"^{old}")
    return History(old, new, parse(git.text(*words, timeout=_LIMIT)))


def commit(git: Git, name: str) -> Commit:
    """What git has of the commit ``name``."""
    return parse(git.text("show", "-s", f"--format={FORMAT}", name))[0]


def parse(listing: str) -> tuple[Commit, ...]:
    """The output of ``git log`` in our format."""
    found = []
    for entry in listing.split("\x01")[1:]:
        name, parents, author, date, subject = entry.rstrip("\n").split("\0")
        found.append(Commit(name, tuple(parents.split()), author, date, subject))
    return tuple(found)


def common(git: Git, old: str, new: str) -> str:
    """The commit at which the range begins: ``old``, or where the two branches parted.

    Raises UserError when ``old`` contains ``new``, when they have no commit in common, or more than one best one.
    """
    done = git.run("merge-base", "--all", old, new, check=False, timeout=_LIMIT)
    bases = done.output.split() if done.status == 0 else []
    if bases == [new]:
        raise UserError(
            f"{old[:12]} contains {new[:12]}: there is nothing between them in this direction",
            "exchange the two, or use --find-fix for the commit that mended a failure",
        )
    if not bases:
        raise UserError(f"{old[:12]} and {new[:12]} have no history in common", "name two commits of one branch")
    if len(bases) > 1:
        raise UserError(
            f"{old[:12]} is not an ancestor of {new[:12]}, and they have {len(bases)} merge bases",
            f"name one of them as the older end: {', '.join(each[:12] for each in bases)}",
        )
    return bases[0]
