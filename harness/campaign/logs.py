"""Logs of runs that are over, compressed.

``NAME.log`` becomes ``NAME.log.gz`` (gzip: zstd is not in Python's library), with its times. Who reads logs of runs
that are over reads both, through harness/report/nightly/logs.py; zless and zgrep do so, too. Nothing else of the
harness reads them: a run reads the logs of its own guests only, and a replay writes new ones.
"""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import os
import shutil
import tempfile
from pathlib import Path

PATTERNS = ("console.log", "protocol.log", "trace.log", "qemu.log", "build-*.log", "module*-*.log")
_SMALL = 8192  # bytes; below that there is nothing to gain
_RATIO = 6  # what a dry run reckons with; consoles shrink more, traces less


def compress(folder: Path, *, dry_run: bool = False) -> tuple[int, str]:
    """Bytes of the disk that it freed, and what kept it from going on; the caller holds the run's folder."""
    freed = 0
    for place, _, files in os.walk(folder):
        for name in files:
            file = Path(place, name)
            if not any(fnmatch.fnmatch(name, pattern) for pattern in PATTERNS) or file.is_symlink():
                continue
            try:
                before = file.lstat()
                if before.st_size < _SMALL or not file.is_file():
                    continue
                if dry_run:
                    freed += before.st_blocks * 512 * (_RATIO - 1) // _RATIO
                else:
                    freed += _one(file, before)
            except OSError as error:
                return freed, error.strerror or str(error)
    return freed, ""


def _one(file: Path, before: os.stat_result) -> int:
    """Whenever it is cut short there is the one or the other, whole."""
    above = file.parent.stat()
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    packed, target = Path(name), file.with_name(f"{file.name}.gz")
    try:
        with os.fdopen(handle, "wb") as sink, file.open("rb") as source:
            with gzip.GzipFile("", "wb", 6, sink, mtime=0) as into:
                shutil.copyfileobj(source, into, 1 << 20)
            sink.flush()
            os.fsync(sink.fileno())
        os.utime(packed, ns=(before.st_atime_ns, before.st_mtime_ns))
        packed.chmod(before.st_mode & 0o777)
        after = packed.stat().st_blocks * 512
        packed.replace(target)
        file.unlink()
    except BaseException:
        packed.unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):
            os.utime(file.parent, ns=(above.st_atime_ns, above.st_mtime_ns))  # the run was not used by this
    return before.st_blocks * 512 - after
