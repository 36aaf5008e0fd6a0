"""Folders in shared memory that end with their process, however that ends.

Whoever uses such a folder holds a lock on it, which the kernel takes away at
the process's end. A folder that nobody has locked is of a harness that was
killed; the next one removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError

_PREFIX = "kph-memory-"


@dataclass(frozen=True)
class Place:
    """A folder for large files that do not last."""

    folder: Path
    why: str  # why it is not in shared memory, for people; empty when it is


def places() -> tuple[Path, ...]:
    """Where such folders may be, best first: in memory, or else in a file system that may be on a disk."""
    return Path("/dev/shm"), Path(tempfile.gettempdir())


@contextlib.contextmanager
def folder(size: int, where: Sequence[Path] | None = None) -> Iterator[Place]:
    """A folder with room for ``size`` bytes, ours alone. Raises InfraError when no place has that room.

    The room is not reserved: files in it may have holes, and other processes fill the same file system.
    """
    refusals: list[str] = []
    for parent in where or places():
        _sweep(parent)
        trouble = _trouble(parent, size)
        if trouble:
            refusals.append(trouble)
            continue
        made, lock = _create(parent)
        try:
            yield Place(made, f"{'; '.join(refusals)}: it is in {parent}" if refusals else "")
        finally:
            shutil.rmtree(made, ignore_errors=True)
            os.close(lock)
        return
    raise InfraError(f"no room for a guest's memory: {'; '.join(refusals)}", "free some of it")


def _trouble(parent: Path, size: int) -> str:
    """Why there can be no folder below ``parent``; empty when there can."""
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        return f"{parent} cannot be written to"
    free = shutil.disk_usage(parent).free
    return f"{parent} has {free >> 20} MiB free of {size >> 20} needed" if free < size else ""


def _create(parent: Path) -> tuple[Path, int]:
    """A new folder and the handle that locks it."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made.exists():
                return made, lock
            os.close(lock)
        # Another harness's sweep came between the folder and its lock.


def _sweep(parent: Path) -> None:
    """Remove what harnesses of ours that were killed left below ``parent``."""
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # not ours to open, in use, or gone by now
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
