"""What makes a commit a Linux kernel tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.errors import UserError
from harness.model import Tree
from harness.source.git import Git

NEEDED = {"Makefile": "blob", "Kconfig": "blob", "drivers/iommu": "tree"}  # path: what git calls it


class NotLinux(UserError):
    """A commit that is no kernel tree."""


def as_tree(spec: str, git: Git, commit: str, lineage: str = "") -> Tree:
    """The value for a commit. Raises NotLinux when it is not a Linux tree.

    ``lineage``: that of the tree which it is built after; by default that of its version, wherever it comes from.
    """
    listing = git.text("ls-tree", commit, *NEEDED)
    kinds = {path: kind for kind, path in re.findall(r"^\d+ (\w+) [0-9a-f]+\t(.+)$", listing, re.M)}
    missing = [name for name, kind in NEEDED.items() if kinds.get(name) != kind]
    version = "" if missing else parse_version(git.text("cat-file", "blob", f"{commit}:Makefile"))
    if missing or not version:
        raise not_linux(spec, missing or ["VERSION and PATCHLEVEL in Makefile"])
    content = git.id("rev-parse", f"{commit}^{{tree}}")
    lineage = lineage or f"linux-{'.'.join(version.split('.')[:2])}"
    return Tree(spec=spec, repo=git.folder, commit=commit, content=content, version=version, lineage=lineage)


def parse_version(makefile: str) -> str:
    """The kernel version that the top Makefile states, e.g. 7.3.4 or 7.4.0-rc2; empty if it states none."""
    values: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)[ \t]*$", makefile, re.M)
    )
    if not (values.get("VERSION", "").isdigit() and values.get("PATCHLEVEL", "").isdigit()):
        return ""
    numbers = [values["VERSION"], values["PATCHLEVEL"], values.get("SUBLEVEL") or "0"]
    return ".".join(numbers) + values.get("EXTRAVERSION", "")


def not_linux(spec: str, missing: Sequence[str]) -> NotLinux:
    return NotLinux(
        f"{spec} is not a Linux kernel tree: it lacks {', '.join(missing)}", "give the top folder of a kernel source"
    )
