"""What runs are using, so that ``kph gc`` leaves it alone.

A run that goes on has a file of its own in the cache's folder ``in-use`` (its time is when the run began), and one
called ``.in-use`` in its own folder. It keeps both locked (flock), so that the kernel lets go of them when the run
dies, however it does. Whatever a run finds in the cache it marks as used now (``mark``). ``kph gc`` removes only what
was last used before the oldest run that still goes on began: nothing that any run has found, while all the rest can be
removed although runs go on. A gate keeps the two apart: a mark and a removal of the same thing each happen as a whole,
so that what was marked is there, and stays. What a run is making is newer than the run, and so stays as well.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InfraError

MARK = ".in-use"  # in a run's folder; that it is there says, too, that the folder is ours
TAG = "CACHEDIR.TAG"  # says the same of the cache, and to backup programs that it can be made again
# The first line is what https://bford.info/cachedir/ asks for.
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of kph. kph gc removes what is old; rm -r does no harm.\n"
)
_ROOM = "in-use"
_GATE = ".gate"


@contextlib.contextmanager
def run(cache: Path, folder: Path | None = None) -> Iterator[None]:
    """A run that takes what it needs from ``cache`` and leaves its evidence in ``folder``. Raises InfraError."""
    with contextlib.ExitStack() as held:
        try:
            room = cache / _ROOM
            room.mkdir(parents=True, exist_ok=True)
            if not (cache / TAG).exists():
                (cache / TAG).write_text(_TAG)
            held.enter_context(_own(room))
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(_locked(folder / MARK, fcntl.LOCK_SH))
                os.utime(folder / MARK)
        except OSError as error:
            hint = "free some space: kph gc --keep-days 7" if error.errno == errno.ENOSPC else "is it yours to write?"
            raise InfraError(f"{error.filename or cache}: {error.strerror}", hint) from error
        yield


def mark(cache: Path, found: Path) -> bool:
    """Whether ``found`` is there, and then it is used now: from here on it stays while the run does."""
    with _gate(cache, fcntl.LOCK_SH):
        return _touch(found)


def mark_run(cache: Path, evidence: Path) -> None:
    """The run that ``evidence`` is of is used now."""
    for folder in evidence.parents:
        if (folder / MARK).exists():
            mark(cache, folder / MARK)
            return


@contextlib.contextmanager
def removing(cache: Path) -> Iterator[float]:
    """No mark is made meanwhile; what was used since the moment given (seconds since 1970) must stay."""
    with _gate(cache, fcntl.LOCK_EX):
        yield min(_began(cache), default=float("inf"))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no run holds ``folder``, and then none can begin to; without waiting."""
    with contextlib.ExitStack() as held:
        free = True
        try:
            held.enter_context(_locked(folder / MARK, fcntl.LOCK_EX | fcntl.LOCK_NB, create=False))
        except FileNotFoundError:
            pass  # of a version that made none
        except BlockingIOError:
            free = False
        yield free


def _began(cache: Path) -> list[float]:
    """When each run that goes on began; what dead ones left is removed."""
    found = []
    for file in (cache / _ROOM).glob("run-*"):
        try:
            with _locked(file, fcntl.LOCK_EX | fcntl.LOCK_NB, create=False):
                file.unlink()
        except FileNotFoundError:
            pass
        except BlockingIOError:
            found.append(file.stat().st_mtime)
    return found


@contextlib.contextmanager
def _own(room: Path) -> Iterator[None]:
    """A locked file of this run's; nobody sees it before it is locked."""
    with _gate(room.parent, fcntl.LOCK_SH):
        handle, name = tempfile.mkstemp(prefix="run-", dir=room)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def _gate(cache: Path, how: int) -> Iterator[None]:
    """Held for moments only, so it is waited for without a deadline of our own."""
    with contextlib.ExitStack() as held:
        if (cache / _ROOM).is_dir():  # else no run has used this cache yet
            held.enter_context(_locked(cache / _ROOM / _GATE, how))
        yield


@contextlib.contextmanager
def _locked(file: Path, how: int, *, create: bool = True) -> Iterator[None]:
    """A descriptor that children do not inherit, so that the lock ends with us."""
    handle = os.open(file, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _touch(found: Path) -> bool:
    try:
        os.utime(found)
    except FileNotFoundError:
        return False
    except OSError:
        return found.exists()  # not ours to write: then gc cannot remove it either
    return True
