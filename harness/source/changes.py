"""What differs between two trees of one repository, as git sees it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Tree
from harness.proc import Door
from harness.source.git import Git

_REGULAR = frozenset(("100644", "100755"))
_NOTHING = "000000"  # mode of the side on which there is no file


@dataclass(frozen=True)
class Change:
    """One path that differs."""

    path: str  # relative to the tree
    stays: bool  # the path is there before and after
    plain: bool  # a regular file wherever it is there, not a link or a submodule


def changes(old: str, new: Tree, door: Door) -> tuple[Change, ...] | None:
    """From the tree ``old`` (a git tree id or a commit) to ``new``; None when the repository of ``new`` lacks ``old``.

    A file that moved is one that goes and one that comes.
    """
    if old == new.content:
        return ()
    words = ("diff-tree", "-r", "-z", "--no-renames", "--raw", f"{old}^{{tree}}", new.content)
    done = Git(door, new.repo).run(*words, check=False)
    return parse(done.output) if done.status == 0 else None


def parse(text: str) -> tuple[Change, ...]:
    """The output of ``git diff-tree -r -z --raw``."""
    parts = text.split("\0")
    found = []
    for facts, path in zip(parts[0::2], parts[1::2], strict=False):
        modes = facts.removeprefix(":").split(" ")[:2]
        there = [mode for mode in modes if mode != _NOTHING]
        found.append(Change(path, stays=len(there) == 2, plain=all(mode in _REGULAR for mode in there)))
    return tuple(found)
