"""What a patch may touch: files of the tree, and nothing else (pure)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from harness.errors import UserError
from harness.source.diff import FileDiff

_MODES = frozenset(("100644", "100755", "120000"))
_SYMLINK = "120000"
_PLAIN = re.compile(r"(?:[\w+,@=-][\w.+,@=-]*/)*[\w+,@=-][\w.+,@=-]*", re.ASCII)  # no part starts with a dot


def path_fault(path: str) -> str:
    """Why ``path`` may not be written below a tree; empty when it may."""
    if _PLAIN.fullmatch(path):  # nearly every path of a kernel: an import asks 200,000 times
        return ""
    parts = path.split("/")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":" and path[0].isalpha()):
        return "is an absolute path"
    if ".." in parts:
        return "leaves the tree"
    if any(part.lower().rstrip(". ") in (".git", "git~1") for part in parts):
        return "is inside .git"
    if not path or "" in parts or "." in parts:
        return "is not a plain path"
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in path):  # bytes that surrogateescape stands for
        return "is not UTF-8"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "has a control character in it"
    return ""


def link_fault(path: str, target: str) -> str:
    """Why the symbolic link ``path`` may not point at ``target``; empty when it may."""
    if target.startswith("/"):
        return "points at an absolute path"
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if end == ".." or end.startswith("../"):
        return "points out of the tree"
    if end == ".git" or end.startswith(".git/"):
        return "points into .git"
    return ""


class Guard:
    """Checks the patches of a series in their order; it remembers the links that they make."""

    def __init__(self) -> None:
        self._links: set[str] = set()

    def check(self, changes: Iterable[FileDiff], name: str) -> None:
        """Raise UserError for the first change that reaches out of the tree; ``name`` is the patch's."""
        for change in changes:
            for path in filter(None, (change.old, change.new)):
                self._path(path, name)
            strange = next((mode for mode in change.modes if mode not in _MODES), "")
            if strange:
                raise _refused(name, change.path, f"has mode {strange}: only files and symbolic links are taken")
            if _SYMLINK in change.modes and change.new is not None:
                self._link(change, name)

    def _path(self, path: str, name: str) -> None:
        if fault := path_fault(path):
            raise _refused(name, path, fault)
        through = next((link for link in self._links if path.startswith(link + "/")), "")
        if through:
            raise _refused(name, path, f"goes through the symbolic link {through} that the series itself makes")

    def _link(self, change: FileDiff, name: str) -> None:
        path = change.path
        if change.binary:
            raise _refused(name, path, "is a symbolic link whose target is given as binary data")
        target = b"".join(line[1:] for hunk in change.hunks for line in hunk.lines if line[:1] == b"+")
        if fault := link_fault(path, target.decode(errors="surrogateescape")):
            raise _refused(name, path, f"is a symbolic link that {fault} ({target.decode(errors='replace')})")
        self._links.add(path)


def _refused(name: str, path: str, why: str) -> UserError:
    shown = path.encode(errors="surrogateescape").decode(errors="replace")
    return UserError(f"{name} is refused: {shown!r} {why}", "a patch may only change files of the kernel tree")
