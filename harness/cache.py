"""The cache directory: its rooms, its locks, and entries that are either whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from harness import inuse
from harness.errors import InfraError


def digest(*parts: str | bytes) -> str:
    """A content key of 20 hex digits over ``parts``; their boundaries count."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(f"{len(raw)}:".encode())
        total.update(raw)
    return total.hexdigest()[:20]


def digest_folder(folder: Path, *more: str) -> str:
    """A content key over the regular files below ``folder`` (names and bytes) and ``more``."""
    parts: list[str | bytes] = list(more)
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        parts += [str(file.relative_to(folder)), file.read_bytes()]
    return digest(*parts)


@dataclass(frozen=True)
class Cache:
    """Everything that can be made again, under one folder."""

    root: Path  # default: the user's cache directory + kph

    @staticmethod
    def default() -> Cache:
        return Cache(Path(platformdirs.user_cache_dir("kph")))

    def room(self, *names: str) -> Path:
        """A folder of the cache, made when missing."""
        folder = self.root.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[str], None] | None = None, timeout: float = 3600) -> Iterator[None]:
        """Hold the lock ``name`` across processes; it falls when its holder dies.

        ``waiting`` is called once, with a sentence, when another run holds it.
        Raises InfraError after ``timeout`` seconds.
        """
        lock = FileLock(self.room("locks") / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                waiting(f"waiting for another run that holds {name}")
            try:
                lock.acquire(timeout=timeout)
            except Timeout as late:
                raise InfraError(
                    f"another run has held {name} for over {timeout:.0f} s",
                    f"see which process has {lock.lock_file} open (fuser), and end it",
                ) from late
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def build(self, entry: Path) -> Iterator[Path]:
        """A scratch folder beside ``entry`` that becomes ``entry`` when the block ends well, and vanishes otherwise.

        If another process made ``entry`` meanwhile, theirs stays.
        """
        entry.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
        scratch.chmod(0o755)
        try:
            yield scratch
            try:
                scratch.rename(entry)
            except OSError:
                if not entry.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def used(self, found: Path) -> bool:
        """Whether ``found``, something of ours, is there; then it is used now, and stays while this run goes on."""
        return inuse.mark(self.root, found)

    def need_space(self, gib: float, what: str) -> None:
        """Raise InfraError unless ``gib`` GiB are free where the cache lies."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free / 2**30
        if free < gib:
            raise InfraError(
                f"{what} needs {gib:.1f} GiB in {self.root}, {free:.1f} GiB are free",
                "free some space (kph gc), or point XDG_CACHE_HOME at a larger disk",
            )


def write_whole(file: Path, content: bytes) -> None:
    """Write ``file`` so that a reader sees all of it or the old one."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as sink:
            sink.write(content)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
