"""A history of 64 commits over a real kernel, of which ten touch files that are built, and one breaks the SVA core.

``python -m tests.vm.bisect.history FOLDER`` makes one to look at.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from harness.cache import Cache
from harness.proc import Door
from harness.source.trees import resolve_tree
from harness.ui import Ui

COUNT = 64
SVA, IOMMU, SVM, FORK = (
    "drivers/iommu/iommu-sva.c",
    "drivers/iommu/iommu.c",
    "drivers/iommu/intel/svm.c",
    "kernel/fork.c",
)
SCENARIO = "global-same-handle-twice"  # fails with the culprit
AGAIN = "\t\trefcount_inc(&handle->users);\n\t\tmutex_unlock(&iommu_sva_lock);\n\t\treturn handle;\n"
REFUSED = "\t\tret = -EBUSY;\n\t\tgoto out_unlock;\n"
# A third of the binds, by a clock that no two boots share.
SOMETIMES = (
    f"\t\tif ((ktime_get_real_ns() >> 8) % 3 == 0) {{\n\t\t\tret = -EBUSY;\n\t\t\tgoto out_unlock;\n\t\t}}\n{AGAIN}"
)
_BROKEN = "#error a commit that does not build\n"
_PANIC = (
    'static int __init kph_panics(void)\n{\n\tpanic("a commit that does not boot");\n}\nearly_initcall(kph_panics);\n'
)
# What the builds of these kernels read nothing of.
_APART = (
    "Documentation/arch/arm64/sve.rst",
    "drivers/gpu/drm/i915/i915_driver.c",
    "fs/btrfs/super.c",
    "sound/core/pcm.c",
    "arch/arm64/kernel/fpsimd.c",
    "drivers/net/ethernet/intel/ice/ice_main.c",
    "tools/testing/selftests/mm/hmm-tests.c",
)


@dataclass(frozen=True)
class Change:
    """What one commit does to one file."""

    file: str
    subject: str
    old: str = ""  # what it replaces; empty: it adds to the end
    new: str = ""


@dataclass(frozen=True)
class Layout:
    """Where the commits are that matter, counted from 1."""

    culprit: int = 50
    breaks: str = REFUSED
    broken: tuple[int, int, int] = (26, 27, 28)  # do not build, the next one mends that
    panics: int = 40  # does not boot, the next one mends that
    others: tuple[int, ...] = (4, 11, 58)
    stamp: int = 0  # makes its kernels others than those of any other history
    hidden: bool = False  # the culprit is the second of those that do not build

    def changes(self) -> Mapping[int, Change]:
        """Number of the commit -> its change; without one it touches nothing that is built."""
        first, second, third = self.broken
        culprit = Change(SVA, "iommu/sva: Tidy the second bind", AGAIN, self.breaks)
        found = {
            first: Change(IOMMU, "iommu: Begin to move a helper", new=_BROKEN),
            second: culprit if self.hidden else self._counter(SVM, second),
            third: self._counter(FORK, third),
            third + 1: Change(IOMMU, "iommu: Finish the move", old=_BROKEN),
            self.panics: Change(IOMMU, "iommu: Set up earlier", new=_PANIC),
            self.panics + 1: Change(IOMMU, "iommu: Set up later again", old=_PANIC),
        }
        found[self.culprit] = self._counter(SVM, self.culprit) if self.hidden else culprit
        return {**found, **{number: self._counter((SVM, FORK, SVA)[number % 3], number) for number in self.others}}

    def _counter(self, file: str, number: int) -> Change:
        text = f"int kph_step_{number} = {self.stamp + number};\n"
        return Change(file, f"{Path(file).stem}: Count step {number}", new=text)


def scattered(chance: random.Random, stamp: int) -> Layout:
    """A layout with its ten commits anywhere."""
    while True:
        broken, panics, culprit, *others = (chance.randint(1, COUNT - 1) for _ in range(6))
        layout = Layout(culprit, REFUSED, (broken, broken + 1, broken + 2), panics, tuple(others), stamp)
        numbers = layout.changes()
        # No two in one place, and none of the pairs cut by another that touches the same files.
        if len(numbers) == 10 and max(numbers) <= COUNT:
            return layout


@dataclass(frozen=True)
class Made:
    """A history as a repository."""

    repo: Path
    commits: tuple[str, ...]  # ids, oldest first; the first is good, the last is bad
    layout: Layout = field(default_factory=Layout)

    @property
    def culprit(self) -> str:
        return self.commits[self.layout.broken[1] if self.layout.hidden else self.layout.culprit]


def home() -> Path:
    """Where histories lie whose work tree is to be found again."""
    folder = Path(platformdirs.user_cache_dir("kph-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make(folder: Path, layout: Layout | None = None, cache: Cache | None = None) -> Made:
    """The history in the repository ``folder``, above Linux 7.3 of the cache; one that was there before is replaced."""
    layout = layout or Layout()
    base = start(folder, "debian:7.3", cache)
    planned = layout.changes()
    changes = [planned.get(number) or _nothing(number) for number in range(1, COUNT + 1)]
    return Made(folder, (base, *add(folder, changes)), layout)


def start(folder: Path, tree: str, cache: Cache | None = None) -> str:
    """A repository whose branch main is at ``tree`` of the cache; the commit."""
    base = resolve_tree(tree, None, cache or Cache.default(), Door(), Ui(quiet=True))
    git(folder.parent, "init", "-q", "-b", "main", str(folder))
    (folder / ".git/objects/info/alternates").write_text(f"{base.repo / 'objects'}\n")
    git(folder, "fast-import", "--quiet", "--force", stdin=f"reset refs/heads/main\nfrom {base.commit}\n\n")
    return base.commit


def add(folder: Path, changes: Sequence[Change]) -> list[str]:
    """One commit for each change, on top of main; their ids."""
    top = git(folder, "rev-parse", "main").strip()
    texts: dict[str, str] = {}
    stream: list[str] = []
    for number, change in enumerate(changes, 1):
        before = texts.get(change.file) or git(folder, "show", f"{top}:{change.file}")
        assert change.old in before, f"step {number}: {change.file} is not as expected"
        text = before.replace(change.old, change.new, 1) if change.old else before + change.new
        texts[change.file] = text
        above = f"from {top}\n" if number == 1 else ""
        stream += [_commit(number, change.subject), above, f"M 100644 inline {change.file}\n", _data(text), "\n"]
    git(folder, "fast-import", "--quiet", "--force", stdin="".join(stream))
    return git(folder, "rev-list", "--reverse", f"{top}..main").split()


def _nothing(number: int) -> Change:
    """What no build reads."""
    file = _APART[number % len(_APART)]
    return Change(file, f"{Path(file).stem}: Note step {number}", new=f"\n/* step {number} */\n")


def _commit(number: int, subject: str) -> str:
    who = f"Author {number} <author{number}@example.org> {1_700_000_000 + 3600 * number} +0000"
    return f"commit refs/heads/main\nauthor {who}\ncommitter {who}\n{_data(subject)}"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


def git(folder: Path, *words: str, stdin: str = "") -> str:
    """The output of a git command that must succeed."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words], input=stdin, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--culprit", type=int, default=Layout.culprit)
    parser.add_argument("--flaky", action="store_true")
    parser.add_argument("--hidden", action="store_true")
    args = parser.parse_args()
    breaks = SOMETIMES if args.flaky else REFUSED
    made = make(args.folder.resolve(), Layout(args.culprit, breaks, hidden=args.hidden))
    print(f"good {made.commits[0]}\nbad {made.commits[-1]}\nculprit {made.culprit}")


if __name__ == "__main__":
    main()
