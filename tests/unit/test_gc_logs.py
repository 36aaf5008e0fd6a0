"""kph gc: logs that are compressed."""

from __future__ import annotations

import gzip
import os
import time

from harness.campaign import logs, rooms
from harness.report.nightly.logs import read
from tests.unit.gc_store import DAY, Store, aged, elsewhere


def test_logs_of_runs_older_than_a_day_are_compressed_and_can_be_read(store: Store) -> None:
    old, young = store.run(2), store.run(0.5)
    log = old / "base/boot-1/console.log"
    (log.with_name("protocol.log")).write_bytes(b"small")
    aged(old, 2)
    raw, moment = log.read_bytes(), log.stat().st_mtime_ns
    report = store.collect(None)
    packed = log.with_name("console.log.gz")
    assert not log.exists() and gzip.decompress(packed.read_bytes()) == raw and read(log) == raw
    assert packed.stat().st_mtime_ns == moment and (young / "base/boot-1/console.log").exists()
    assert log.with_name("protocol.log").exists(), "too small to gain anything"
    assert [(each.path, each.compressed) for each in report.freed] == [(old, True)]
    assert report.freed[0].bytes > 100_000
    assert rooms.units(store.cache, store.evidence)[0].used < time.time() - 1.9 * DAY, "that was no use of the run"
    assert store.collect(None).freed == [], "nothing is left to do"


def test_a_full_disk_keeps_logs_whole_and_does_not_keep_gc_from_removing(store: Store) -> None:
    """As if it were full: no file may grow beyond a few bytes, as with ENOSPC the write fails."""
    gone, kept = store.run(31), store.run(2)
    log = kept / "base/boot-1/console.log"
    log.write_bytes(os.urandom(100_000))
    aged(kept, 2)
    raw = log.read_bytes()
    code = """
import resource
from harness.campaign import gc
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
report = gc.collect(Path(sys.argv[1]), [Path(sys.argv[2])], gc.Policy(30))
print('ready', flush=True)
print([why for _, why in report.kept], flush=True)
"""
    with elsewhere(code, store.cache, store.state / "runs") as child:
        assert child.stdout and child.stdout.readline() == "['not compressed: File too large']\n"
    assert not gone.exists() and log.read_bytes() == raw
    assert sorted(path.name for path in log.parent.iterdir()) == ["console.log"], "nothing half done"


def test_logs_that_are_compressed_are_those_of_guests_and_builds() -> None:
    assert (
        "console.log" in logs.PATTERNS and "commands.log" not in logs.PATTERNS and "git-bisect.log" not in logs.PATTERNS
    )
