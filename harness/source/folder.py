"""A plain directory with a kernel source, kept as commits in a repository of ours.

The index stays between runs, so a directory that has not changed costs one
lstat per file. Nothing is written to the directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.source.git import Git

# Build products that a source directory may have even where .gitignore does not say so. With some of these in
# the source, an out-of-tree build stops ("please run make mrproper": the outputmakefile rule of the top Makefile).
_PRODUCTS = (
    ".config*",
    ".*.cmd",
    ".tmp_*",
    "*.o",
    "*.ko",
    "/vmlinux*",
    "/include/config/",
    "/include/generated/",
    "/arch/*/include/generated/",
)
# Files that upstream tracks although their names start with a dot.
_TRACKED = (
    ".gitignore",
    ".gitattributes",
    ".kunitconfig",
    ".clang-format",
    ".clippy.toml",
    ".cocciconfig",
    ".editorconfig",
    ".get_maintainer.ignore",
    ".mailmap",
    ".pylintrc",
    ".renames.txt",
    ".rustfmt.toml",
    ".yamllint",
)
_EVERYTHING = frozenset(("*", "/*", "**", "/**"))


def import_folder(folder: Path, git: Git, door: Door) -> str:
    """Commit the present content of ``folder`` to the repository ``git``; returns the commit id.

    Raises UserError when a file cannot be read.
    """
    rules = git.folder / "info" / "kph-excludes"
    rules.write_text(excludes(_ignore_files(folder)))
    ours = Git(door, git.folder, index=git.folder / "kph-index", work=folder)
    # The caller holds our lock, so these are a dead run's.
    for left in (Path(f"{ours.index}.lock"), *(git.folder / "objects/pack").glob("tmp_*")):
        left.unlink(missing_ok=True)
    paths = _changed(ours, rules)
    there = [path for path in paths if _is_file(folder, path)]
    gone = set(paths) - set(there)
    _update(ours, sorted(gone), "--force-remove")
    _update(ours, there, "--add", "--replace")
    tree = ours.id("write-tree", timeout=600)
    return ours.commit_tree(tree, None, "import")


def _is_file(folder: Path, path: bytes) -> bool:
    place = folder / os.fsdecode(path)
    return place.is_symlink() or place.is_file()


def _update(git: Git, paths: list[bytes], *how: str) -> None:
    if not paths:
        return
    # A threshold of one byte makes git stream every file into one pack, instead of one loose object per file.
    words = ("-c", "core.bigFileThreshold=1", "update-index", "-z", *how, "--stdin")
    done = git.run(*words, stdin=b"\0".join(paths) + b"\0", timeout=1800, check=False)
    if done.status != 0:
        fault = done.output.strip()[-500:]
        if "Permission denied" in fault:
            raise UserError(f"{git.work} cannot be read: {fault}", "make every file in it readable")
        raise InfraError(
            f"git update-index failed: {fault}", "did a file change meanwhile? is there space in the cache?"
        )


def excludes(ignore_files: Iterable[tuple[str, str]]) -> str:
    """One exclude list (gitignore(5)) from the ``.gitignore`` files of a tree, given as (folder, text).

    A list of our own, because a tree's own can hide the tree: the top
    .gitignore of Debian's kernel source ends with ``/*``, and lacks the lines
    that keep tracked dot-files. Deeper files come later, and so win.
    """
    lines = list(_PRODUCTS)
    for folder, text in sorted(ignore_files, key=lambda item: (item[0].count("/") + bool(item[0]), item[0])):
        for raw in text.splitlines():
            rule = _anchored(raw, folder)
            if rule:
                lines.append(rule)
    lines += [f"!{name}" for name in _TRACKED]
    return "\n".join(lines) + "\n"


def _anchored(raw: str, folder: str) -> str:
    line = raw if raw.endswith("\\ ") else raw.rstrip()
    if not line or line.startswith("#") or (not folder and line.lstrip("!") in _EVERYTHING):
        return ""
    if not folder:
        return line
    negated, pattern = ("!", line[1:]) if line.startswith("!") else ("", line.removeprefix("\\"))
    inside = pattern.lstrip("/") if "/" in pattern.rstrip("/") else f"**/{pattern}"
    return f"{negated}/{folder}/{inside}"


def _ignore_files(folder: Path) -> list[tuple[str, str]]:
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        if ".gitignore" in files:
            file = Path(here) / ".gitignore"
            relative = os.path.relpath(here, folder)
            found.append(("" if relative == "." else relative, file.read_text(errors="replace")))
    return found


def _changed(git: Git, rules: Path) -> list[bytes]:
    """Paths that are new, changed or gone since the index was written."""
    listing = git.folder / "kph-changed"
    listing.unlink(missing_ok=True)
    argv, env = git.command("ls-files", "-z", "--others", "--modified", "--deleted", f"--exclude-from={rules}")
    git.door.run(argv, cwd=git.work, env=env, timeout=600, output=listing)
    paths = listing.read_bytes().split(b"\0")
    listing.unlink()
    return [path for path in dict.fromkeys(paths) if path and not path.endswith(b"/")]  # a slash: a nested repository
