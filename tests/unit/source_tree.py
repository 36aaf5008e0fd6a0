"""A miniature Linux tree, its three patches, and helpers around them.

The mails under tests/data/source are about these three patches.
"""

from __future__ import annotations

import io
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.cache import Cache
from harness.model import Tree
from harness.proc import Door
from harness.source.trees import resolve_tree
from harness.ui import Ui

DATA = Path(__file__).parents[1] / "data" / "source"

_SVA_C = """\
// SPDX-License-Identifier: GPL-2.0
#include <linux/iommu.h>

static DEFINE_MUTEX(sva_lock);

/* Take a PASID for the mm, unless it has one. */
static int sva_alloc_pasid(struct mm *mm)
{
\tif (mm->pasid)
\t\treturn 0;

\tmm->pasid = next_pasid();
\treturn mm->pasid ? 0 : -ENOSPC;
}

struct sva *sva_bind(struct device *dev, struct mm *mm)
{
\tstruct sva *handle;
\tint ret;

\tmutex_lock(&sva_lock);
\tret = sva_alloc_pasid(mm);
\tif (ret)
\t\tgoto out_unlock;

\thandle = find_bond(dev, mm);
\tif (!handle)
\t\thandle = new_bond(dev, mm);
\tmutex_unlock(&sva_lock);
\treturn handle;

out_unlock:
\tmutex_unlock(&sva_lock);
\treturn ERR_PTR(ret);
}

void sva_unbind(struct sva *handle)
{
\tmutex_lock(&sva_lock);
\tdrop_bond(handle);
\tmutex_unlock(&sva_lock);
}
"""

BASE: dict[str, str] = {
    "Makefile": "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n",
    "Kconfig": 'source "drivers/iommu/Kconfig"\n',
    "drivers/iommu/Kconfig": "config SVA\n\tbool\n",
    "drivers/iommu/Makefile": "obj-$(CONFIG_SVA) += sva.o\n",
    "drivers/iommu/sva.c": _SVA_C,
    "include/linux/iommu.h": (
        "struct sva *sva_bind(struct device *dev, struct mm *mm);\nvoid sva_unbind(struct sva *handle);\n"
    ),
    "Documentation/sva.rst": "Shared addresses\n================\n\nA caf\u00e9 is not a PASID.\n\nBind, then use.\n",
    "scripts/check.sh": "#!/bin/sh\nexit 0\n",
}
EXECUTABLE = frozenset(("scripts/check.sh",))
LINKS = {"scripts/include": "../include"}

_FIRST = _SVA_C.replace("\thandle = find_bond(dev, mm);\n", "\thandle = find_bond(dev, mm);\n\tmm->bonds++;\n").replace(
    "\tdrop_bond(handle);\n", "\thandle->mm->bonds--;\n\tdrop_bond(handle);\n"
)
_SECOND = _FIRST + "\nu32 sva_get_pasid(struct sva *handle)\n{\n\treturn handle->mm->pasid;\n}\n"

# The state of the files that each patch changes, after it.
PATCHES: tuple[tuple[str, dict[str, str]], ...] = (
    ("iommu/sva: Count the bonds of an mm", {"drivers/iommu/sva.c": _FIRST}),
    (
        "iommu/sva: Tell the PASID of a bond",
        {"drivers/iommu/sva.c": _SECOND, "include/linux/sva.h": "u32 sva_get_pasid(struct sva *handle);\n"},
    ),
    (
        "docs: sva: Say when to unbind",
        {
            "Documentation/sva.rst": BASE["Documentation/sva.rst"].replace(
                "use.\n", "use.\nUnbind: d\u00e8s que possible.\n"
            )
        },
    ),
)


def files_after(*numbers: int) -> dict[str, str]:
    """The files once the patches of these 1-based numbers are applied."""
    files = dict(BASE)
    for number in numbers:
        files |= PATCHES[number - 1][1]
    return files


def write_tree(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Write ``files`` (default: the base) and the links below ``folder``."""
    for name, text in (BASE if files is None else files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name in EXECUTABLE else 0o644)
    for name, target in LINKS.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    return folder


def git(folder: Path, *words: str, when: int = 1700000000) -> str:
    """Run the user's git in ``folder``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {
            f"GIT_{role}_NAME": "Zo\u00eb Ngata",
            f"GIT_{role}_EMAIL": "zoe@example.org",
            f"GIT_{role}_DATE": f"{when} +0000",
        }
    done = subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def user_repo(folder: Path, *, patches: int = 0) -> Path:
    """A user's checkout: the base commit (tag ``base``), and a commit per patch on top."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    write_tree(folder)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "base")
    git(folder, "tag", "base")
    for number in range(1, patches + 1):
        write_tree(folder, PATCHES[number - 1][1])
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", PATCHES[number - 1][0], when=1700000000 + number)
    return folder


@dataclass
class Desk:
    """A cache, a door and a user interface of a test's own."""

    cache: Cache
    door: Door
    ui: Ui
    screen: io.StringIO

    @staticmethod
    def at(folder: Path) -> Desk:
        screen = io.StringIO()
        console = Console(file=screen, width=500, highlight=False)
        cache = Cache(folder / "cache")
        return Desk(cache, Door(cache.room() / "commands"), Ui(console), screen)

    @property
    def said(self) -> str:
        return self.screen.getvalue()

    def tree(self, spec: Path | str, base: str | None = None) -> Tree:
        return resolve_tree(str(spec), base, self.cache, self.door, self.ui)


def base_content(tmp_path: Path) -> str:
    """The content that every tree made of BASE must have."""
    return git(user_repo(tmp_path / "reference"), "rev-parse", "HEAD^{tree}")
