"""After a night: what ``keep`` in the file says stays, the rest goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import inuse
from harness.cache import Cache
from harness.campaign import gc
from harness.campaign.gc import Policy
from harness.campaign.nightly.file import Keep
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import KphError


def keep(wanted: Keep, history: History, night: Night, runs: Path, cache: Cache) -> Sequence[str]:
    """Free the disk of the rest; what is to be said of it. A night does not fail for it."""
    if wanted.runs is None and wanted.cache_gib is None:
        return ()
    # The evidence of a cell that was not run again is as much tonight's as any other.
    for cell in history.cells(night.id):
        if cell.folder and Path(cell.folder, inuse.MARK).exists():
            inuse.mark(cache.root, Path(cell.folder, inuse.MARK))
    days = wanted.runs / 86400 if wanted.runs is not None else None
    try:
        report = gc.collect(cache.root, [runs], Policy(evidence_days=days, cache_gib=wanted.cache_gib))
    except KphError as error:
        return (f"kph gc: {error.message}",)
    if report.over and report.left is not None:
        return (f"the cache has {report.left / 2**30:.1f} GiB, more than keep.cache_gib: the rest is in use",)
    return ()
