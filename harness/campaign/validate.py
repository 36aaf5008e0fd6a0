"""``kph run``: base against patched on one or more targets, from a tree and a series to a verdict."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from harness import inuse
from harness.build import flavour as flavours
from harness.build.qemu import ensure_qemu
from harness.cache import Cache
from harness.campaign import request as requests
from harness.campaign.cell import CellRun, trees
from harness.campaign.request import Request
from harness.campaign.slots import Slots, usual
from harness.machine.target import Target
from harness.model import Cell, RunResult, Series, Tree
from harness.proc import Door
from harness.source.apply import apply_series
from harness.source.series import load_series
from harness.source.trees import resolve_tree
from harness.ui import Ui
from harness.verdict import compare
from harness.verdict import known as patterns


class Validation:
    """One run. ``run()`` goes through the phases; everything it leaves is in ``folder``.

    With several targets or flavours, each cell of them has a folder of its name in it.
    """

    def __init__(self, request: Request, folder: Path, cache: Cache, ui: Ui) -> None:
        self._request, self._folder, self._cache, self._ui = request, folder, cache, ui
        self._door = Door(folder / "commands.log", ui.timeline)

    def run(self) -> RunResult:
        """Raises UserError and InfraError; what a kernel does wrong is in the result."""
        with inuse.run(self._cache.root, self._folder):  # kph gc leaves what we find
            return self._run()

    def _run(self) -> RunResult:
        request = self._request
        requests.write(request, self._folder / "request.json")
        with ThreadPoolExecutor(1, thread_name_prefix="qemu") as ahead:
            try:
                # The network and one CPU are busy with the sources for a while: the other begins with QEMU.
                qemu = ahead.submit(self._own_qemu)
                base, series, patched = self._sources()
                cells = self._cells(trees(base, patched), qemu)
            except BaseException:
                self._door.close()  # the pools wait for their threads, and they for their processes
                raise
        verdict, reasons = compare.together(cells)
        return RunResult(
            run=self._folder,
            verdict=verdict,
            reasons=reasons,
            tree=base,
            series=series,
            suite=request.suite.name,
            channel=request.channel,
            seed=request.tuning.seed,
            stress=request.tuning.stress,
            cells=cells,
            notes=self._notes(cells, base.version),
            phases=tuple(self._ui.phases),
            seconds=self._ui.timeline.now(),
        )

    def _notes(self, cells: Sequence[Cell], version: str) -> tuple[str, ...]:
        request, found = self._request, [known for cell in cells for known in compare.known(cell)]
        complete = not request.patterns
        return patterns.notes(request.known, found, version, datetime.date.today(), complete=complete)

    def _own_qemu(self) -> None:
        """Build our QEMU if it is wanted and not there yet."""
        if self._request.qemu is None:
            with self._ui.phase("qemu"):
                ensure_qemu(self._cache, self._door, self._ui, None, self._request.targets[0])

    def _sources(self) -> tuple[Tree, Series | None, Tree | None]:
        request = self._request
        with self._ui.phase("fetch"):
            base = resolve_tree(request.tree, request.base, self._cache, self._door, self._ui)
        self._ui.say(f"tree: {base.spec}, Linux {base.version}")
        with self._ui.phase("apply"):
            series = load_series(request.series, base, self._cache, self._door, self._ui)
            if series is None:
                return base, None, None
            patched = apply_series(base, series, self._cache, self._door)
        self._ui.say(f"series: {series.title} ({len(series.patches)} patches)")
        return base, series, patched

    def _cells(self, sources: Mapping[str, Tree], qemu: Future[None]) -> tuple[Cell, ...]:
        """Build one side of one cell after the other, in the same work tree; suites run while the next is built."""
        memory = max(target.memory_mib for target in self._request.targets)
        slots = Slots(self._request.jobs or usual(memory))
        runs = [
            self._cell_run(target, flavour, slots, qemu)
            for target in self._request.targets
            for flavour in self._request.flavours
        ]
        with ThreadPoolExecutor(len(runs) * len(sources)) as pool:
            try:
                self._build(runs, sources, pool)
                return tuple(run.cell() for run in runs)
            except BaseException:
                self._door.close()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _build(self, runs: Sequence[CellRun], sources: Mapping[str, Tree], pool: ThreadPoolExecutor) -> None:
        """All that is wanted, one after the other; the suites run in ``pool``."""
        if not (self._request.patched_first and "patched" in sources):
            for run in runs:
                for side, tree in sources.items():
                    run.build(side, tree, pool)
            return
        for run in runs:
            run.build("patched", sources["patched"], pool)
        for run in runs:
            if not run.sound("patched"):
                run.build("base", sources["base"], pool)

    def _cell_run(self, target: Target, flavour: str, slots: Slots, qemu: Future[None]) -> CellRun:
        request = self._request
        name = "-".join((target.name, *flavours.parts(flavour)))
        folder = self._folder / name if request.several else self._folder
        return CellRun(request, target, flavour, slots, qemu, folder, self._cache, self._door, self._ui)


def run_folder(root: Path, name: str) -> Path:
    """A new, empty run directory below ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-", dir=root))
