"""(e) Building from nothing: our kernels, our QEMU, and virtme-ng's kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks import case, reading, stats
from benchmarks.bench import TARGETS, Bench
from benchmarks.model import Measure
from benchmarks.peer import NAME as PEER
from benchmarks.turns import Numbers, alternate
from harness.build.qemu import ensure_qemu

KEY = "e"
TITLE = "cold builds: empty caches, no compiler cache hits, sources downloaded before"
ORDER = 1

_LIMIT = 240.0  # seconds, each


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case. Once each, however many runs are asked for."""
    assert bench.tree  # downloaded and a repository
    bench.download_qemu()
    bench.forget()
    players: dict[str, Callable[[], Numbers]] = {"qemu": lambda: _qemu(bench)}
    players |= {target: _kernel(bench, target) for target in TARGETS}
    players[PEER] = lambda: {"seconds": bench.peer.cold()}
    taken = alternate(1, players)
    ours = taken[TARGETS[0]].of("seconds")
    return (
        *(case.seconds(KEY, f"kernel of {name}", "kph", taken[name], limit=_LIMIT) for name in TARGETS),
        case.seconds(KEY, "kernel of its own configuration", PEER, taken[PEER]),
        case.ratio(KEY, f"kernel of {TARGETS[0]}", f"kph / {PEER}", stats.pairwise(ours, taken[PEER].of("seconds"))),
        case.seconds(KEY, "QEMU, both emulators", "kph", taken["qemu"], limit=_LIMIT),
    )


def _qemu(bench: Bench) -> Numbers:
    """By itself, since a run may build it beside something else."""
    bench.say("cold build of QEMU")
    started = time.monotonic()
    ensure_qemu(bench.cache, bench.door, bench.ui)
    return {"seconds": time.monotonic() - started}


def _kernel(bench: Bench, target: str) -> Callable[[], Numbers]:
    def build() -> Numbers:
        bench.say(f"cold build of the kernel of {target}")
        run = bench.kph("--target", target, "--scenario", "global-first-bind")
        return {"seconds": reading.phase(run.report, "kernel", "base")}

    return build
