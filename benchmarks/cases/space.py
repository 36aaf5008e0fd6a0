"""(f) Bytes on disk."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import disk
from benchmarks.bench import SERIES, Bench
from benchmarks.model import Measure, Unit
from benchmarks.peer import NAME as PEER

KEY = "f"
TITLE = "bytes on disk"
ORDER = 3

_ROOMS = {
    "trees": "kernel sources as git",
    "apt": "Debian packages",
    "slots": "work tree, and objects of both targets",
    "kernels": "built kernels",
    "qemu": "built QEMU",
    "ccache": "compiler cache",
}


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    rows = []
    for room in sorted(bench.cache.room().iterdir()):
        what = f"cache, {room.name}" + (f" ({_ROOMS[room.name]})" if room.name in _ROOMS else "")
        rows.append(_row(what, "kph", disk.allocated(room)))
    rows.append(_row("cache, all", "kph", disk.allocated(bench.cache.room())))
    run = bench.kph("--series", SERIES, "--target", "x86_64-vtd", *bench.force)
    rows.append(_row("evidence of one run, whole suite", "kph", disk.allocated(run.folder)))
    bench.peer.built()
    rows.append(_row("work tree with its objects", PEER, disk.allocated(bench.peer.work)))
    rows.append(_row("its Python environment", PEER, disk.allocated(bench.peer.environment)))
    return rows


def _row(what: str, who: str, size: int) -> Measure:
    return Measure(KEY, what, who, Unit.BYTES, (float(size),))
