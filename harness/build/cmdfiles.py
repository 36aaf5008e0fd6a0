"""What a build read, collected from the ``.cmd`` files of its output directory.

There are some two thousand of them, 80 MB in all. What each names is kept in the output directory as the bits of one
number, so that the next collection reads those that were written since: a hundredth of the time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from harness.build import reads
from harness.cache import write_whole

_METHOD = 1  # raise when what is kept, or what is taken from a .cmd file, changes
_KEPT = ".kph-reads"  # in the output directory


def collect(out: Path, work: Path) -> frozenset[str]:
    """The files of the tree ``work`` that the build in ``out`` read, relative to the tree, and what it generated.

    A file that was reached through a symbolic link is there under both names. What is left of objects that are made
    no more counts as well.
    """
    names, known = _kept(out)
    numbers = {name: number for number, name in enumerate(names)}
    now: dict[str, tuple[int, str]] = {}
    for entry in _cmd_files(str(out)):
        path, time = os.path.relpath(entry.path, out), entry.stat().st_mtime_ns
        if path in known and known[path][0] == time:
            now[path] = known[path]
            continue
        bits = 0
        for name in reads.named(Path(entry.path).read_bytes(), bytes(work)):
            bits |= 1 << numbers.setdefault(name.decode(errors="replace"), len(numbers))
        now[path] = time, f"{bits:x}"
    if now != known:
        write_whole(out / _KEPT, json.dumps({"method": _METHOD, "names": list(numbers), "files": now}).encode())
    every = 0
    for _, digits in now.values():
        every |= int(digits, 16)
    found = {name for name, number in numbers.items() if every >> number & 1}
    return frozenset(found | resolved(found, work))


def scan(folder: Path, top: Path) -> frozenset[str]:
    """The same for a folder that is built once; ``top`` may be an output directory as well as a tree."""
    files = (Path(entry.path).read_bytes() for entry in _cmd_files(str(folder)))
    found = {name.decode(errors="replace") for file in files for name in reads.named(file, bytes(top))}
    return frozenset(found | resolved(found, top))


def resolved(names: set[str], work: Path) -> set[str]:
    """Where those of ``names`` really lie that are reached through symbolic links within ``work``."""
    top = os.path.realpath(work)
    folders: dict[str, str] = {}  # each is resolved once: there are a tenth as many as files

    def real(name: str) -> str:
        folder, _, file = f"{top}/{name}".rpartition("/")
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        path = f"{folders[folder]}/{file}"
        return os.path.realpath(path) if file in ("", ".", "..") or Path(path).is_symlink() else path

    paths = map(real, names)
    return {path.removeprefix(f"{top}/") for path in paths if path.startswith(f"{top}/")}


def _kept(out: Path) -> tuple[list[str], dict[str, tuple[int, str]]]:
    try:
        kept = json.loads((out / _KEPT).read_bytes())
    except (FileNotFoundError, ValueError):
        return [], {}
    if kept["method"] != _METHOD:
        return [], {}
    return kept["names"], {path: (time, bits) for path, (time, bits) in kept["files"].items()}


def _cmd_files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _cmd_files(entry.path)
            elif entry.name.startswith(".") and entry.name.endswith(".cmd"):
                yield entry
