"""(f) Bytes on disk."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import disk
from benchmarks.bench import SERIES, Bench
from benchmarks.model import Measure, Unit
from benchmarks.peer import NAME as PEER
from benchmarks.turns import Numbers, alternate

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
_PEER = ("work tree with its objects", "its Python environment")


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    rows = []
    for room in sorted(bench.cache.room().iterdir()):
        what = f"cache, {room.name}" + (f" ({_ROOMS[room.name]})" if room.name in _ROOMS else "")
        rows.append(_row(what, "kph", disk.allocated(room)))
    rows.append(_row("cache, all", "kph", disk.allocated(bench.cache.room())))
    run = bench.kph("--series", SERIES, "--target", "x86_64-vtd", *bench.force)
    rows.append(_row("evidence of one run, whole suite", "kph", disk.allocated(run.folder)))
    peer = alternate(1, {PEER: lambda: _peer(bench)})[PEER]
    for what in _PEER:
        rows.append(Measure(KEY, what, PEER, Unit.BYTES, peer.of(what), failure=peer.failure))
    return rows


def _peer(bench: Bench) -> Numbers:
    bench.peer.built()
    return dict(zip(_PEER, map(disk.allocated, (bench.peer.work, bench.peer.environment)), strict=True))


def _row(what: str, who: str, size: int) -> Measure:
    return Measure(KEY, what, who, Unit.BYTES, (float(size),))
