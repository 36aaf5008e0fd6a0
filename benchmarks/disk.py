"""Bytes on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def allocated(folder: Path) -> int:
    """Bytes of disk that ``folder`` takes; a file with several names counts once, holes do not count."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for stat in _stats(folder):
        if (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_blocks * 512
    return total


def _stats(folder: Path) -> Iterator[os.stat_result]:
    if folder.is_dir():
        yield folder.lstat()
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                yield os.lstat(os.path.join(parent, name))  # noqa: PTH118 - a hundred thousand files
            except FileNotFoundError:
                continue
