"""What a build read, and whether a change to the tree can make a difference to it (pure).

The kernel's make keeps a file ``.<target>.cmd`` for all that it made: the command line, and for what was compiled the
files that the compiler opened. Those of the tree are absolute, what the build generated is relative to the output
directory. Doubt counts as a difference: a build too many costs seconds, a result that is not the series' own is wrong.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from harness.source.changes import Change

# Other than the sources: what tells make and Kconfig what to do. No .cmd file names these.
_RECIPES = re.compile(r"(?:Kconfig|Makefile|Kbuild)[^/]*|[^/]*\.(?:mk|include|awk|sh|pl|py)")
_TOOLS = ("scripts/", "tools/")  # run by the build; what they read themselves is not known
# Never opened by a build of a kernel.
_APART = ("Documentation/", "LICENSES/")
_TEXTS = frozenset(("MAINTAINERS", "CREDITS", "COPYING", "README", ".mailmap", ".gitignore", ".clang-format"))
_TEXT_SUFFIXES = frozenset((".rst", ".md"))
_SOURCES = frozenset((".c", ".h", ".S"))  # opened by compilers alone, which tell what they opened
_INCLUDED = frozenset((".h", ".inc", ".S", ".lds"))
_ARCHIVES_HEADERS = "kernel/kheaders.c"  # CONFIG_IKHEADERS: every header is in the image
_LOST = "\ufffd"  # in a name that is not UTF-8


def named(cmd: bytes, work: bytes) -> frozenset[bytes]:
    """The files that one ``.cmd`` file names: of the tree ``work``, relative to it; the generated ones by their names.

    More than was read may be among them, such as folders of headers.
    """
    absolute = re.findall(re.escape(work) + rb"/([^\s:;'\"()$\\]+)", cmd)
    generated = re.findall(rb"^  ([^ /$\\\n][^ $\\\n]*)", cmd, re.MULTILINE)
    return frozenset(posixpath.normpath(each) for each in (*absolute, *generated))


def kernel_differs(changes: Iterable[Change], reads: frozenset[str]) -> str:
    """The first path among ``changes`` that may make another kernel of a tree whose build read ``reads``, or none."""
    architectures = frozenset(path.split("/")[1] for path in reads if path.startswith("arch/"))

    def inert(change: Change) -> bool:
        path, name, suffix = _parts(change)
        if path.startswith("tools/testing/"):
            return True
        if _RECIPES.fullmatch(name) or path.startswith(_TOOLS):
            return False
        folders = path.split("/")[:-1]
        foreign = len(folders) > 1 and folders[0] == "arch" and folders[1] not in architectures
        if foreign or path.startswith(_APART) or name in _TEXTS or suffix in _TEXT_SUFFIXES:
            return True
        if suffix == ".h" and _ARCHIVES_HEADERS in reads:
            return False
        # A header that comes or goes may be found in place of another; a .c file is named by a recipe.
        return suffix in _SOURCES and (change.stays or suffix == ".c")

    return _first_not(inert, changes, reads)


def module_differs(changes: Iterable[Change], reads: frozenset[str]) -> str:
    """The first path among ``changes`` that may make another module of the same sources, or none.

    Its make enters no folder of the tree: of the recipes, the top ones and those of the architecture count. What all
    others do to generated files is for the caller to compare.
    """

    def inert(change: Change) -> bool:
        path, name, suffix = _parts(change)
        if path.startswith(_TOOLS):
            return path.startswith("tools/testing/")
        if _RECIPES.fullmatch(name):
            return name.startswith("Kconfig") or ("/" in path and not path.startswith("arch/"))
        return change.stays or suffix not in _INCLUDED

    return _first_not(inert, changes, reads)


def programs_differ(changes: Iterable[Change]) -> str:
    """The first path among ``changes`` that may make other programs for the user side, or none.

    They are built from below tools/, against the headers that the tree gives to user space.
    """

    def inert(change: Change) -> bool:
        path, name, suffix = _parts(change)
        if path.startswith((*_TOOLS, "usr/")):
            return False
        exported = "/" not in path or path.startswith(("include/", "arch/"))
        return not exported or name in _TEXTS or suffix in (".c", ".S")

    return _first_not(inert, changes, frozenset())


def _parts(change: Change) -> tuple[str, str, str]:
    name = change.path.rpartition("/")[2]
    return change.path, name, posixpath.splitext(name)[1]


def _first_not(inert: Callable[[Change], bool], changes: Iterable[Change], reads: frozenset[str]) -> str:
    for change in changes:
        if change.path in reads or not change.plain or _LOST in change.path or not inert(change):
            return change.path
    return ""
