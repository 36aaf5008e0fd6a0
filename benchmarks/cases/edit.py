"""(a) From a one-line change to the verdict, beside make alone and virtme-ng."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import case, edit, reading, stats
from benchmarks.bench import SERIES, Bench, KphRun
from benchmarks.model import Limit, Measure
from benchmarks.peer import NAME as PEER
from benchmarks.turns import NotMeasured, Numbers, alternate

KEY = "a"
TITLE = "warm edit to verdict: one line of drivers/iommu/iommu-sva.c, x86_64-vtd, the suite without sweeps and races"
ORDER = 2

# What README advises while one edits: sweeps and races take two thirds of a run.
_TARGET = ("--target", "x86_64-vtd", "--scenario", "!sweep-*", "--scenario", "!race-*")
_LIMIT = 15.0  # seconds
_SHARE = 5.0  # seconds for 50 scenarios
_REST = "start, sources, checkout, kernel, module, store, report: what a longer suite does not lengthen"
_MAKE = 3600.0  # seconds


class _Edits:
    """Three who change the same line in turns; each change is new."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._last: KphRun | None = None
        self.scenarios = 0  # that ran on the patched kernel

    def kph(self) -> Numbers:
        run = self._bench.kph("--series", SERIES, "--series", self._bench.patch_file(), *_TARGET)
        self._last, self.scenarios = run, reading.ran(run.report, "patched")
        numbers = {"seconds": run.seconds}
        with contextlib.suppress(NotMeasured):  # a part that is not told does not cost the whole
            numbers["kernel"] = reading.phase(run.report, "kernel", "patched")
        with contextlib.suppress(NotMeasured):
            numbers["share"] = reading.share(run.report, "patched")
            numbers["rest"] = run.seconds - reading.phase(run.report, "scenarios", "patched")
        return numbers

    def make(self) -> Numbers:
        """Where kph has just built: same work tree, output directory, compiler and settings."""
        if self._last is None:
            raise NotMeasured("kph has left no work tree to build in")
        made = reading.kernel_make(self._last.commands)
        out = Path(reading.output_folder(made))
        (out / ".kph-built").unlink(missing_ok=True)  # it no longer holds the kernel that this names
        file = Path(made.folder) / edit.FILE
        number, _ = self._bench.new_edit()
        file.write_text(edit.edited(file.read_text(), number))
        started = time.monotonic()
        self._bench.door.run(
            reading.only(made, "vmlinux"),
            timeout=_MAKE,
            cwd=Path(made.folder),
            env=made.env,
            output=self._bench.evidence / "make.log",
        )
        return {"seconds": time.monotonic() - started}

    def peer(self) -> Numbers:
        number, _ = self._bench.new_edit()
        return {"seconds": self._bench.peer.change(number)}


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    edits = _Edits(bench)
    bench.say("warming up: base and patched kernel once")
    bench.kph("--series", SERIES, *_TARGET)
    bench.kph("--series", SERIES, "--series", bench.patch_file(), *_TARGET)
    taken = alternate(bench.runs, {"kph": edits.kph, "make": edits.make, PEER: edits.peer})
    kph, make, peer = taken["kph"], taken["make"], taken[PEER]
    rest = stats.pairwise(kph.of("rest"), make.of("seconds"))
    ran = (
        f"{edits.scenarios} scenarios ran; the phase's seconds, boot and snapshot in it, times 50 through their number"
    )
    return (
        case.seconds(KEY, "edit to verdict", "kph", kph, limit=_LIMIT),
        case.seconds(KEY, "`make vmlinux` alone", "make", make),
        case.seconds(KEY, "edit to a command run", PEER, peer, note="it runs no tests and has no IOMMU"),
        case.ratios(KEY, "edit to verdict", kph, make, "kph / make", Limit(1.5)),
        case.ratio(KEY, "all but the suite", "kph / make", rest, Limit(1.5), note=_REST),
        case.ratios(KEY, "edit to verdict", kph, peer, f"kph / {PEER}"),
        case.seconds(KEY, "of it building the kernel", "kph", kph, "kernel"),
        case.seconds(KEY, "of it the suite, for 50 scenarios", "kph", kph, "share", _SHARE, ran),
    )
