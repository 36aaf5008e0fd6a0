"""(b) From the start of QEMU to an agent that answers, beside virtme-ng's boot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import case, reading, stats
from benchmarks.bench import TARGETS, Bench
from benchmarks.model import Measure
from benchmarks.peer import NAME as PEER
from benchmarks.turns import Numbers, alternate

KEY = "b"
TITLE = "boot to agent ready"
ORDER = 2

_LIMITS = {"x86_64-vtd": 1.2, "arm64-smmuv3": 0.8}  # seconds
_SCENARIO = "global-first-bind"  # a run boots for it once


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    players: dict[str, Callable[[], Numbers]] = {target: _boot(bench, target) for target in TARGETS}
    alternate(1, players)  # builds what is missing, and warms the page cache
    players[PEER] = lambda: {"seconds": bench.peer.boot()}
    taken = alternate(bench.runs, players)
    peer = taken[PEER]
    rows = [case.seconds(KEY, f"boot, {name}", "kph", taken[name], limit=_LIMITS[name]) for name in TARGETS]
    rows.append(
        case.seconds(KEY, "start to end of `vng --exec`, x86_64", PEER, peer, note="the machine ends in it, too")
    )
    ours = taken[TARGETS[0]].of("seconds")
    rows.append(case.ratio(KEY, f"boot, {TARGETS[0]}", f"kph / {PEER}", stats.pairwise(ours, peer.of("seconds"))))
    return rows


def _boot(bench: Bench, target: str) -> Callable[[], Numbers]:
    def boot() -> Numbers:
        run = bench.kph("--target", target, "--scenario", _SCENARIO, *bench.force)
        return {"seconds": reading.phase(run.report, "boot", "base")}

    return boot
