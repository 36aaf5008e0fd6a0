"""Where kernels of one lineage and configuration are built, one after the other: a work tree, an output directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.sandbox import Sandbox
from harness.build.toolchain import compiler, jobs
from harness.machine.target import KernelRecipe

# The same for every tree. A release that named the tree would be compiled into a dozen files, so that a change of one
# line costs them all; that the guest runs the kernel that was built is known by its build id.
LOCAL_VERSION = "-kph"
# For what is stamped into a kernel: equal sources give equal images.
_STAMP = {
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "kph",
    "KBUILD_BUILD_HOST": "kph",
    "KBUILD_BUILD_VERSION": "1",
}
_PRODUCTS = frozenset({".o", ".a", ".s", ".S", ".ko", ".elf", ".bin", ".gz", ".so", ".dbg", ".lds", ""})


@dataclass(frozen=True)
class Slot:
    """One build at a time; the caller holds the lock."""

    work: Path  # the tree as files
    out: Path  # what make makes of it
    recipe: KernelRecipe
    compiler_env: Mapping[str, str]
    cflags: tuple[str, ...] = ()  # for the compiler, after those of the tree
    sandbox: bool = False  # what the tree makes make run is confined

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of every make."""
        return {**self.compiler_env, **_STAMP}

    def make(self, *words: str) -> list[str | Path]:
        """The argv of make with ``words``."""
        cross = self.recipe.cross_compile
        return [
            *("make", "-C", self.work, f"O={self.out}", f"-j{jobs()}", f"ARCH={self.recipe.make_arch}"),
            *([f"CROSS_COMPILE={cross}"] if cross else []),
            f"CC={compiler(f'{cross}gcc')}",
            f"LOCALVERSION={LOCAL_VERSION}",
            *([f"KCFLAGS={' '.join(self.cflags)}"] if self.cflags else []),
            *words,
        ]

    def confined(
        self, argv: Sequence[str | Path], writable: Iterable[Path] = (), readable: Iterable[Path] = ()
    ) -> list[str | Path]:
        """``argv`` in the sandbox, if there is to be one, with folders that it may write to or read besides."""
        if not self.sandbox:
            return list(argv)
        own = [self.work, self.out, *(Path(self.env[name]) for name in ("CCACHE_DIR",) if name in self.env)]
        return Sandbox(tuple(own)).wrap(argv, self.env, writable, readable)


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[None]:
    """Mark ``out`` while make runs there, and first undo what a make that was killed left.

    make removes a file that it was writing when it is asked to end, not when it is killed; the half of an object
    file, newer than its sources, would then be taken for the whole.
    """
    mark = out / ".kph-unfinished"
    if mark.exists():
        since = mark.stat().st_mtime
        for folder, folders, names in os.walk(out):
            if Path(folder) == out:
                folders[:] = [name for name in folders if name != "include"]  # written whole, by conf and filechk
            for file in (Path(folder, name) for name in names if not name.startswith(".")):
                if file.suffix in _PRODUCTS and file.lstat().st_mtime >= since:
                    file.unlink()
    mark.touch()
    yield
    mark.unlink()
