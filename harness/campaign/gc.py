"""``kph gc``: what is old, or too much, goes; what a run is using, or is not ours, stays.

Each thing is taken away in two steps: under the locks of those who make it, and while nobody can find it
(``inuse.removing``), it gets another name; then it is deleted at leisure. A gc that was killed between the two leaves
a folder that the next one deletes. harness/inuse.py tells how runs say what they use.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from harness import inuse
from harness.campaign import logs, rooms
from harness.campaign.rooms import DAY, TRASH, Unit
from harness.errors import InfraError, UserError

_FRESH = 3600.0  # seconds: what was used this lately stays, though no run holds it: one may be about to begin
_GIB = 2**30


@dataclass(frozen=True)
class Policy:
    """What may stay."""

    days: float | None = None  # since the last use; None: however old
    gib: float | None = None  # of cache and evidence together; None: however much
    compress: bool = True  # logs of runs older than a day


@dataclass(frozen=True)
class Freed:
    """One thing that went, or shrank."""

    kind: str
    path: Path
    bytes: int  # of the disk
    compressed: bool = False


@dataclass
class Report:
    """What came of it."""

    freed: list[Freed] = field(default_factory=list)
    kept: list[tuple[Path, str]] = field(default_factory=list)  # what should have gone, and why it stayed
    left: int | None = None  # bytes afterwards; None when nobody asked
    over: bool = False  # more than the policy wants


def collect(cache: Path, state: Path, policy: Policy, *, dry_run: bool = False) -> Report:
    """Remove and compress. Raises UserError for a cache that is not ours."""
    if cache.exists() and any(cache.iterdir()) and not rooms.is_cache(cache):
        raise UserError(
            f"{cache} is not known as a cache of kph: its {inuse.TAG} is missing",
            "the first run that uses it writes one; without a run, remove by hand what you know",
        )
    with contextlib.ExitStack() as held:
        if not dry_run and cache.exists():
            (cache / "locks").mkdir(exist_ok=True)
            try:
                held.enter_context(FileLock(cache / "locks" / "gc.lock", timeout=0))
            except Timeout:
                raise InfraError("another kph gc is at work here", "wait for it") from None
        return _Gc(cache, state, policy, dry_run).run()


class _Gc:
    def __init__(self, cache: Path, state: Path, policy: Policy, dry_run: bool) -> None:
        self._cache, self._state, self._policy, self._dry = cache, state, policy, dry_run
        self._now = time.time()
        self._report = Report()
        self._gone: set[Path] = set()  # also what a dry run only speaks of

    def run(self) -> Report:
        units = rooms.units(self._cache, self._state)
        for unit in units:
            if self._is_due(unit):
                self._remove(unit)
        # What is too old first: on a full disk there is no space to compress into.
        if self._policy.compress:
            self._compress(units)
        if self._policy.gib is not None:
            self._shrink(units, self._policy.gib)
        self._links()
        return self._report

    def _is_due(self, unit: Unit) -> bool:
        if unit.leftover:
            return unit.path.name.startswith(TRASH) or self._now - unit.used > DAY
        return self._policy.days is not None and self._now - unit.used > self._policy.days * DAY

    def _shrink(self, units: Sequence[Unit], gib: float) -> None:
        folders = [self._cache, *(self._state / name for name in rooms.STATE)]
        left = sum(rooms.size(folder, self._gone) for folder in folders)
        if self._dry:
            left -= sum(each.bytes for each in self._report.freed if each.compressed)
        for unit in units:
            if left <= gib * _GIB:
                break
            if unit.path not in self._gone:
                left -= self._remove(unit)
        self._report.left, self._report.over = left, left > gib * _GIB

    # --- removing ------------------------------------------------------------------
    def _remove(self, unit: Unit) -> int:
        """The bytes that it freed; 0 when it must stay."""
        if not unit.path.exists() or any(parent in self._gone for parent in unit.path.parents):
            return 0
        try:
            with contextlib.ExitStack() as held:
                self._hold(unit, held)
                return self._taken(unit)
        except _Stays as why:
            self._report.kept.append((unit.path, str(why)))
        except OSError as error:
            self._report.kept.append((unit.path, error.strerror or str(error)))
        return 0

    def _hold(self, unit: Unit, held: contextlib.ExitStack) -> None:
        for name in unit.locks:
            file = Path(name) if name.startswith("/") else self._cache / "locks" / f"{name}.lock"
            if self._dry and not file.exists():
                continue
            file.parent.mkdir(exist_ok=True)
            lock = FileLock(file)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise _Stays("in use: a run holds its lock") from None
            held.callback(lock.release)
        if unit.evidence and not held.enter_context(inuse.alone(unit.path)):
            raise _Stays("in use: its run goes on")

    def _taken(self, unit: Unit) -> int:
        if self._dry:
            with inuse.removing(self._cache) as began:
                self._check(unit, began)
            freed = rooms.size(unit.path, self._gone)
        else:
            trash = self._aside(unit)
            freed = rooms.size(trash)
            _delete(trash)
        self._gone.add(unit.path)
        self._report.freed.append(Freed(unit.kind, unit.path, freed))
        return freed

    def _aside(self, unit: Unit) -> Path:
        """Where it lies now, and nobody looks for it."""
        path = unit.path
        if path.name.startswith(TRASH):
            return path
        room = path.parent.parent if unit.kind == "slots" and path.parent.name != "slots" else path.parent
        trash = room / f"{TRASH}{os.getpid()}-{path.name}"
        with inuse.removing(self._cache) as began:
            self._check(unit, began)
            before = path.parent.stat()
            path.rename(trash)
            os.utime(path.parent, ns=(before.st_atime_ns, before.st_mtime_ns))  # a slot was not used by this
        return trash

    def _check(self, unit: Unit, began: float) -> None:
        """Under the gate: whether somebody has used it meanwhile."""
        if unit.path.name.startswith(TRASH):
            return
        used = rooms.last_used(unit)
        if used >= began:
            raise _Stays("in use: a run that goes on may have found it")
        if self._now - used < _FRESH:
            raise _Stays("used within the last hour")

    # --- logs, links ------------------------------------------------------------------
    def _compress(self, units: Sequence[Unit]) -> None:
        for unit in units:
            old = self._now - unit.used > DAY
            if not (unit.evidence and old) or unit.path in self._gone or not unit.path.exists():
                continue
            with inuse.alone(unit.path) as free:
                if not free:
                    continue
                freed, trouble = logs.compress(unit.path, dry_run=self._dry)
            if freed:
                self._report.freed.append(Freed(unit.kind, unit.path, freed, compressed=True))
            if trouble:
                self._report.kept.append((unit.path, f"not compressed: {trouble}"))

    def _links(self) -> None:
        """Those by which a kernel's module is found, when the module is gone."""
        if self._dry:
            return
        with inuse.removing(self._cache):
            for link in (self._cache / "modules").glob("*/for-*"):
                if link.is_symlink() and not link.exists():
                    link.unlink(missing_ok=True)


class _Stays(Exception):
    """Why something is not removed."""


def _delete(path: Path) -> None:
    """All of it; a folder that is not to be written was made so by whoever unpacked it. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder in _folders(path):
        if stat.S_IMODE(folder.lstat().st_mode) & 0o700 != 0o700:
            folder.chmod(0o700)
    shutil.rmtree(path)


def _folders(path: Path) -> Iterator[Path]:
    yield path
    for folder, folders, _ in os.walk(path):
        yield from (Path(folder, name) for name in folders if not Path(folder, name).is_symlink())
