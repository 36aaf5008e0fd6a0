"""What the cache and the runs' folders hold that can be removed, and when each of it was last used."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.campaign.bisect.journal import NAME as JOURNAL
from harness.inuse import MARK, TAG

STATE = ("runs", "bisections")  # folders of evidence, below the state directory
TRASH = ".gc-"  # begins the name of what is being removed
DAY = 86400.0  # seconds

# In the cache: room -> how deep its entries lie. All of them are whole or absent, and can be made again.
_DEPTH = {
    "kernels": 1, "modules": 2, "programs": 2, "libraries": 1, "agents": 1, "ssh-roots": 1, "qemu": 1, "applied": 1,
    "results": 1, "trees": 1, "downloads": 1,
}  # fmt: skip
_RUN = re.compile(r"\d{8}-\d{6}-.+")  # as run_folder() names them
_IMPORTED = ("debian-", "tar-")  # trees whose lock has their name without .git, see harness/source/trees.py
_LOCK = ".lock"  # of a bisection, which may outlast the run that holds it: see harness/cli/bisect.py
_OUTPUT = ("out-", "headers-")  # below a slot


@dataclass(frozen=True)
class Unit:
    """Something that is removed as a whole."""

    kind: str  # room, or folder of the state
    path: Path
    used: float  # seconds since 1970
    locks: tuple[str, ...] = ()  # that who makes or changes it holds: of the cache, or files of their own
    evidence: bool = False  # a run's folder: the run holds it itself
    leftover: bool = False  # of what was killed


def is_cache(root: Path) -> bool:
    """Whether ``root`` is a cache of ours: a folder of that name may be anybody's."""
    try:
        return "kph" in (root / TAG).read_text(errors="replace")
    except OSError:
        return False


def units(cache: Path, state: Path) -> list[Unit]:
    """All there is, the oldest first."""
    found = [unit for room, depth in _DEPTH.items() for unit in _room(cache / room, room, depth)]
    found += _slots(cache / "slots")
    for name in STATE:
        found += [_evidence(name, folder) for folder in _ours(state / name)]
    return sorted(found, key=lambda unit: unit.used)


def last_used(unit: Unit) -> float:
    """As it is by now. Raises FileNotFoundError."""
    return _RULES.get(unit.kind, _time)(unit.path)


def _time(path: Path) -> float:
    return path.lstat().st_mtime


def _newest(path: Path) -> float:
    """Its own time or that of what lies right below it, but for the lock: to take it is to write it."""
    below = (each for each in _below(path) if each.name != _LOCK)
    return max(_time(path), *_times(below))


def _times(paths: Iterable[Path]) -> Iterator[float]:
    yield 0.0
    for path in paths:
        try:
            yield _time(path)
        except FileNotFoundError:
            continue


def _slot(path: Path) -> float:
    """A slot's work tree is as old as the last checkout, which wrote beside it; an output as the last make there."""
    marks = (path / ".kph-built", path / ".kph-unfinished", *(path.glob("*/.kph-built")))
    return max(_newest(path) if not path.name.startswith(_OUTPUT) else _time(path), *_times(marks))


_RULES: dict[str, Callable[[Path], float]] = {"slots": _slot, **dict.fromkeys(STATE, _newest)}


def _room(room: Path, kind: str, depth: int) -> Iterator[Unit]:
    if depth > 1:
        for group in _below(room):
            if group.is_dir():
                yield from _room(group, kind, depth - 1)
        return
    for path in _below(room):
        if path.is_symlink() or (kind == "results" and path.name.startswith("seconds-")):
            continue  # a link goes with what it leads to; the times are a few bytes that each run uses
        leftover = path.name.startswith(".") or path.name.startswith("apply-")
        yield Unit(kind, path, _time(path), () if leftover else _locks(kind, path.name), leftover=leftover)


def _locks(kind: str, name: str) -> tuple[str, ...]:
    if kind == "results":
        return (f"results-{name.removesuffix('.json')}",)
    if kind == "trees":
        return (f"trees-{name.removesuffix('.git') if name.startswith(_IMPORTED) else name}",)
    if kind in ("qemu", "downloads"):
        return ("qemu",)
    return ("ssh-root",) if kind == "ssh-roots" else ()


def _slots(room: Path) -> Iterator[Unit]:
    """Each output directory, and the slot with all that is in it."""
    for folder in _below(room):
        if not folder.is_dir() or folder.is_symlink():
            continue
        if folder.name.startswith("."):
            yield Unit("slots", folder, _time(folder), leftover=True)
            continue
        locks = (f"slot-{folder.name}",)
        outputs = [each for each in _below(folder) if each.name.startswith(_OUTPUT) and not each.is_symlink()]
        yield from (Unit("slots", out, _slot(out), locks) for out in outputs)
        yield Unit("slots", folder, _slot(folder), locks)


def _ours(root: Path) -> Iterator[Path]:
    """Folders that runs made, and no other."""
    for folder in _below(root):
        if folder.name.startswith(TRASH):
            yield folder
        elif _RUN.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            mine = folder.stat().st_uid == os.geteuid()
            marked = any((folder / name).is_file() for name in (MARK, "request.json", JOURNAL))
            if mine and (marked or not any(folder.iterdir())):
                yield folder


def _evidence(kind: str, folder: Path) -> Unit:
    leftover = folder.name.startswith(TRASH)
    locks = (str(folder.resolve() / _LOCK),) if not leftover and (folder / _LOCK).exists() else ()
    return Unit(kind, folder, _newest(folder), locks, evidence=not leftover, leftover=leftover)


def _below(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def size(path: Path, without: frozenset[Path] | set[Path] = frozenset()) -> int:
    """Bytes that ``path`` takes of the disk, but for what lies below those of ``without``; never through a link."""
    if path in without:
        return 0
    try:
        status = path.lstat()
    except OSError:
        return 0
    total = status.st_blocks * 512
    if not path.is_symlink() and path.is_dir():
        for folder, folders, files in os.walk(path, onerror=None):
            if without:
                folders[:] = [name for name in folders if Path(folder, name) not in without]
                files[:] = [name for name in files if Path(folder, name) not in without]
            for name in (*folders, *files):
                try:
                    total += os.lstat(f"{folder}/{name}").st_blocks * 512
                except OSError:
                    continue
    return total
