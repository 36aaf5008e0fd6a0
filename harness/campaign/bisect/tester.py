"""One commit: built, booted, the scenario run as often as asked, and read against the signature."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache
from harness.campaign.bisect.journal import Trial
from harness.campaign.bisect.prune import Reads
from harness.campaign.bisect.signature import Mark, Reading, Signature, read, together
from harness.campaign.cell import CellRun, Prepared
from harness.campaign.request import Request
from harness.campaign.result import SideResult
from harness.campaign.slots import Slots
from harness.errors import InfraError
from harness.model import Outcome, Splat, Status, Tree
from harness.proc import Door
from harness.scenario.schema import Scenario
from harness.ui import Ui

_WORK = re.compile(r"/\S*/slots/[^/\s]+/work/")  # where the tree was built, before the path of a file of it


@dataclass(frozen=True)
class Run:
    """One run of the scenario."""

    outcome: Outcome
    boot_splats: tuple[Splat, ...]
    booted: bool


@dataclass(frozen=True)
class Runs:
    """All runs of one test, before anything is known of a signature."""

    runs: tuple[Run, ...]
    failure: str  # why there are none: it does not build, in one line; empty otherwise
    identity: str
    built: bool  # make was asked
    build_seconds: float
    seconds: float
    evidence: Path


@dataclass(frozen=True)
class _Ready:
    """A test that is built, or that cannot be."""

    name: str
    tree: Tree
    folder: Path
    prepared: Prepared  # the first run alone, unless runs are copies of one guest
    first: int  # number of the first run
    runs: int
    built: bool  # make was asked
    build_seconds: float
    settle: Callable[[], None]  # for while its runs go on, if no build does


class Tester:
    """``test()`` from any thread; each lane has a work tree of its own, so that builds can go on beside each other."""

    def __init__(
        self,
        request: Request,
        scenario: Scenario | None,
        folder: Path,
        cache: Cache,
        door: Door,
        ui: Ui,
        slots: Slots,
        options: Callable[[str], str] = lambda _: "",
    ) -> None:
        """``scenario``: None when the suite's tests are the guest's own; then ``request.patterns`` names the one.

        ``options``: kernel options, besides, of what has the name.
        """
        self._options = options
        self._request, self._scenario, self.folder = request, scenario, folder
        self._cache, self._door, self._ui, self._slots = cache, door, ui, slots
        self._qemu: Future[None] = Future()
        self._qemu.set_result(None)
        self._lock = threading.Lock()
        self._made = 0  # evidence folders
        self._known: dict[str, str] = {}  # identity -> name of what was tested with it
        self._reads = Reads()

    def learn(self, test: Trial) -> None:
        """A test of before: its image need not be tested again."""
        if test.identity and not test.shared:
            self._known.setdefault(test.identity, test.name)

    def stop(self) -> None:
        """End all processes of the bisection: threads that wait for one then fail."""
        self._door.close()

    @property
    def reads(self) -> Reads:
        """What all builds so far read."""
        return self._reads

    def read_by(self, tree: Tree, *, build: bool) -> None:
        """Learn what the builds of ``tree`` read: if they are still in the cache, or else with ``build``."""
        cell = self._cell(self.folder / "reads", 0, 1)
        if cell.stored(tree) or (build and cell.prepare("end", tree).kernel is not None):
            self._learn(cell, tree)

    def begin(self, name: str, tree: Tree, runs: int, pool: ThreadPoolExecutor) -> Future[Runs]:
        """Build ``tree`` now, and run the scenario in a thread of ``pool``, so that the next can be built meanwhile."""
        ready = self._ready(name, tree, runs, 0)
        self._twin(name, ready.prepared)
        return pool.submit(self._finish, ready)

    def raw(self, name: str, tree: Tree, runs: int, first: int = 0) -> Runs:
        """``runs`` runs on ``tree``, those numbered from ``first``: no two of one number are the same run, but a
        number whose result is kept is not run again. Raises UserError and InfraError.
        """
        ready = self._ready(name, tree, runs, first)
        self._twin(name, ready.prepared)
        return self._finish_alone(ready)

    def test(
        self,
        name: str,
        tree: Tree,
        signature: Signature,
        runs: int,
        first: int = 0,
        known: Mapping[str, Trial] | None = None,
        lane: int = 0,
    ) -> Trial:
        """Up to ``runs`` runs; they end with the first that has the symptom.

        ``known``: tests by name; an image that one of them was made with is not tested again, unless it says too
        little. ``lane``: which work tree to use.
        """
        if lane:
            tree = dataclasses.replace(tree, lineage=f"{tree.lineage}-lane{lane}")
        done: list[Runs] = []
        left = runs
        while left > 0:
            batch = min(left, self._slots.number) if runs > 1 else 1
            found = self._carry_out(name, tree, batch, first, {} if done else known or {}, runs)
            if isinstance(found, Trial):
                return found
            done.append(found)
            first, left = first + batch, left - batch
            readings = [read(signature, run.outcome, run.boot_splats, run.booted) for run in found.runs]
            if not readings or any(each.mark is not Mark.GOOD for each in readings):
                break
        return judged(name, done, signature, self.folder)

    # --- in the order in which it happens ---------------------------------------
    def _carry_out(
        self, name: str, tree: Tree, runs: int, first: int, known: Mapping[str, Trial], fewest: int
    ) -> Runs | Trial:
        """``fewest``: runs that a twin without the symptom must have to speak for this one."""
        ready = self._ready(name, tree, runs, first)
        twin = known.get(self._twin(name, ready.prepared))
        if twin is None or twin.name == name or (twin.mark is Mark.GOOD and twin.hidden < fewest):
            return self._finish_alone(ready)
        self._ui.say(f"{short(name)}: the very kernel of {short(twin.name)}, which is {twin.mark}")
        return dataclasses.replace(
            twin,
            name=name,
            built=ready.built,
            shared=twin.name,
            seconds=ready.build_seconds,
            build_seconds=ready.build_seconds,
        )

    def _ready(self, name: str, tree: Tree, runs: int, first: int) -> _Ready:
        started = time.monotonic()
        folder = self._evidence(name)
        together = runs if self._request.snapshot else 1
        slots = self._slots if self._request.snapshot else Slots(1)
        cell = self._cell(folder, first, together, self._options(name), slots)
        stored = cell.stored(tree)
        prepared = cell.prepare(short(name), tree)
        if prepared.identity:
            self._learn(cell, tree)
        seconds = time.monotonic() - started
        return _Ready(name, tree, folder, prepared, first, runs, not stored, seconds, lambda: cell.settle(tree))

    def _finish_alone(self, ready: _Ready) -> Runs:
        """The runs, and beside them what the next build would have to wait for."""
        with ThreadPoolExecutor(1, thread_name_prefix="settle") as aside:
            if ready.built:
                aside.submit(ready.settle)  # whatever keeps it from telling something, the next checkout looks itself
            return self._finish(ready)

    def _finish(self, ready: _Ready) -> Runs:
        started = time.monotonic()
        found = self._runs(ready)
        seconds = ready.build_seconds + time.monotonic() - started
        failure = "" if ready.prepared.kernel else found[0].outcome.reason
        runs = found if ready.prepared.kernel else ()
        return Runs(runs, failure, ready.prepared.identity, ready.built, ready.build_seconds, seconds, ready.folder)

    def _evidence(self, name: str) -> Path:
        with self._lock:
            while True:
                self._made += 1
                folder = self.folder / f"{self._made:03}-{short(name)}"
                with contextlib.suppress(FileExistsError):  # of the bisection that this one resumes
                    folder.mkdir(parents=True)
                    return folder

    def _cell(self, folder: Path, first: int, runs: int, options: str = "", slots: Slots | None = None) -> CellRun:
        request = dataclasses.replace(self._request, scenarios=tuple(self._copies(first, runs)), options=options)
        place = (request.targets[0], request.flavours[0])
        slots = slots or self._slots
        return CellRun(request, *place, slots, self._qemu, folder, self._cache, self._door, self._ui)

    def _copies(self, first: int, runs: int) -> Iterator[Scenario]:
        """The scenario under as many names, so that each run of it has a result of its own, which is kept."""
        if self._scenario is not None:
            for number in range(first, first + runs):
                yield dataclasses.replace(self._scenario, id=f"{self._scenario.id}~{number + 1}")

    def _runs(self, ready: _Ready) -> tuple[Run, ...]:
        """Every run has a machine of its own, with its own boot and what that printed; copies of one guest share it."""
        if self._scenario is None:
            only = self._request.patterns[0]
            return tuple(run for _ in range(ready.runs) for run in _of(ready.prepared.carry_out(), only))
        if self._request.snapshot or ready.runs == 1 or ready.prepared.kernel is None:
            return tuple(_of(ready.prepared.carry_out()))
        with ThreadPoolExecutor(min(self._slots.number, ready.runs), thread_name_prefix="run") as pool:
            try:
                rest = [pool.submit(self._alone, ready, ready.first + more) for more in range(1, ready.runs)]
                first = tuple(_of(ready.prepared.carry_out()))
                return (*first, *(run for each in rest for run in each.result()))
            except BaseException:
                self.stop()  # the pool waits for its threads, and they for their guests
                raise

    def _alone(self, ready: _Ready, number: int) -> tuple[Run, ...]:
        """One more run of what is built."""
        folder = ready.folder / f"run-{number + 1}"
        cell = self._cell(folder, number, 1, self._options(ready.name), Slots(1))
        return tuple(_of(cell.prepare(short(ready.name), ready.tree).carry_out()))

    def _learn(self, cell: CellRun, tree: Tree) -> None:
        reads = Reads(*cell.reads(tree), programs=self._request.suite.spec.programs is not None)
        with self._lock:
            self._reads |= reads

    def _twin(self, name: str, prepared: Prepared) -> str:
        """What was tested first with the very same image and module; ``name`` itself, or nothing, when nothing was."""
        with self._lock:
            return self._known.setdefault(prepared.identity, name) if prepared.identity else ""


def _of(result: SideResult, only: str = "") -> Iterator[Run]:
    """The runs of one side, or of the test ``only``; what stands for all of them, when nothing ran."""
    outcomes = [each for each in result.outcomes if only in ("", each.scenario)]
    outcomes = outcomes or [result.otherwise or Outcome(only, Status.SKIP, "this kernel has no such test", 0.0)]
    for outcome in outcomes:
        if outcome.status is Status.ERROR:
            raise InfraError(f"{outcome.scenario}: {outcome.reason}", "kph bisect --resume goes on from here")
        yield Run(outcome, result.boot_splats, not result.failure)


def judged(name: str, done: list[Runs], signature: Signature, top: Path) -> Trial:
    """What ``done``, the runs of one test, say under ``signature``."""
    readings = [read(signature, run.outcome, run.boot_splats, run.booted) for each in done for run in each.runs]
    if not readings:
        readings = [Reading(Mark.SKIP, _WORK.sub("", done[0].failure))]
    said = together(readings)
    every = [run.outcome for each in done for run in each.runs]
    return Trial(
        name,
        said.mark,
        said.reason,
        shown=sum(each.mark is Mark.BAD for each in readings),
        hidden=sum(each.mark is Mark.GOOD for each in readings),
        identity=done[0].identity,
        built=done[0].built,
        kept=bool(every) and all(outcome.earlier for outcome in every),
        seconds=sum(each.seconds for each in done),
        build_seconds=sum(each.build_seconds for each in done),
        evidence=str(done[-1].evidence.relative_to(top)),
    )


def short(name: str) -> str:
    """A name for people and for folders: twelve digits of each commit id."""
    return "-".join(part[:12] for part in name.split(":"))
