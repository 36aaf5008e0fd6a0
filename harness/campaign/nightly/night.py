"""One night: each cell of the plan, each alone, with everything in the history as soon as it is known."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import harness
from harness.cache import Cache, digest_folder
from harness.campaign.nightly import history as histories
from harness.campaign.nightly import plan as plans
from harness.campaign.nightly import trees
from harness.campaign.nightly.file import NightlyFile
from harness.campaign.nightly.hands import Hands
from harness.campaign.nightly.history import History
from harness.campaign.nightly.plan import Planned
from harness.campaign.nightly.records import BAD, Cell, CellState, Night, Result
from harness.campaign.nightly.regress import Regressions, last_statuses
from harness.campaign.validate import Validation, run_folder
from harness.errors import KphError
from harness.model import Cell as RunCell
from harness.model import Outcome, Row, RunResult
from harness.proc import Door
from harness.ui import Ui


@dataclass(frozen=True)
class Ended:
    """What a night came to."""

    night: Night
    cells: tuple[Cell, ...]
    failures: tuple[tuple[Cell, Result], ...]  # that count and passed the last time, or were never seen
    problems: tuple[str, ...]  # what is to be said besides

    @property
    def status(self) -> int:
        """Exit status: 1 something fails that did not before, 3 nothing does but a cell could not be tested, else 0."""
        if self.failures:
            return 1
        return 3 if any(cell.state is CellState.FAILED or cell.verdict == "error" for cell in self.cells) else 0


class Nights:
    """``run()`` once; the caller holds the lock of the history."""

    def __init__(self, file: NightlyFile, history: History, runs: Path, cache: Cache, ui: Ui, hands: Hands) -> None:
        """``runs``: where the evidence of each cell goes."""
        self._file, self._history, self._runs, self._cache, self._ui = file, history, runs, cache, ui
        self._hands = hands
        self._door = Door(timeline=ui.timeline)
        self._started = time.monotonic()
        self._today = datetime.date.today()

    def plan(self) -> tuple[Planned, ...]:
        """What the next night would run. Trees are fetched and read, nothing is built."""
        found = trees.resolve(self._file, self._cache, self._door, self._ui)
        digests = trees.Digests(self._cache, self._door, self._ui)
        return plans.plan(self._file, found, digests, self._history, lambda cell: self._hands.ask(cell, ()))

    def run(self) -> Ended:
        """Raises what keeps the whole night from going on, such as a full disk; a cell that fails does not."""
        try:
            return self._run()
        except BaseException:
            self._door.close()
            raise

    def _run(self) -> Ended:
        night = self._history.unfinished(self._file.name)
        if night:
            self._ui.say(f"going on with the night of {night.started}, which was cut off")
        night = night or self._history.begin(self._file.name, digest_folder(Path(harness.__file__).parent))
        had = {cell.place: cell for cell in self._history.cells(night.id)}
        failures: list[tuple[Cell, Result]] = []
        regressions = Regressions(self._file, self._history, self._runs, self._cache, self._ui, self._hands)
        for planned in self.plan():
            cell = had.get(planned.place)
            # What came to its end before the night was cut off is not done again.
            if cell is None or cell.state in (CellState.PLANNED, CellState.RUNNING):
                cell = self._settle(night, planned, cell)
            failures += self._follow(cell, planned, regressions)
        self._history.end(night.id)
        ended = self._history.night(night.id)
        assert ended is not None
        return Ended(ended, tuple(self._history.cells(night.id)), tuple(failures), self._file.expired(self._today))

    # --- one cell ----------------------------------------------------------------
    def _settle(self, night: Night, planned: Planned, had: Cell | None) -> Cell:
        """Carry out a cell, or say why not."""
        cell = self._begin(night, planned, had)
        if planned.problem:
            return self._ended(replace(cell, state=CellState.FAILED, reason=planned.problem))
        if planned.same is not None:
            same = planned.same
            told = f"nothing has changed since the night of {self._when(same)}"
            ended = replace(cell, state=CellState.UNCHANGED, same=same.id, verdict=same.verdict, reason=told)
            return self._ended(replace(ended, seconds=same.seconds, folder=same.folder, accelerator=same.accelerator))
        if planned.dropped or self._late(planned):
            why = planned.dropped or f"the night's {self._file.budget / 3600:.1f} h would not have been enough"
            return self._ended(replace(cell, state=CellState.DROPPED, reason=why))
        return self._carry_out(cell, planned)

    def _begin(self, night: Night, planned: Planned, had: Cell | None) -> Cell:
        tree = planned.tree
        cell = Cell(
            id=had.id if had else 0,
            night=night.id,
            place=planned.place,
            spec=planned.spec,
            commit=tree.commit if tree else "",
            version=tree.version if tree else "",
            key=planned.key,
            state=CellState.RUNNING,
            started=histories.now(),
            repo=str(tree.repo) if tree else "",
        )
        if had is None:
            return self._history.add(cell)
        self._history.update(cell)
        return cell

    def _late(self, planned: Planned) -> bool:
        """Whether a cell whose time is known would end after the night; the first one is always tried."""
        spent = time.monotonic() - self._started
        return planned.known and spent > 0.05 * self._file.budget and spent + planned.seconds > self._file.budget

    def _carry_out(self, cell: Cell, planned: Planned) -> Cell:
        self._ui.say(f"{cell.place}: testing {cell.commit[:12]}")
        folder = run_folder(self._runs, "-".join((cell.place.tree, cell.place.target, cell.place.flavour)))
        started = time.monotonic()
        try:
            request = self._hands.ask(planned, ())
            found = Validation(request, folder, self._cache, self._ui.view(str(cell.place), True)).run()
            self._hands.report(found, folder)
            found, tries = self._again(found, planned, cell)
        except KphError as error:
            self._ui.say(f"{cell.place}: {error}")
            told = error.message.splitlines()[0]
            return self._ended(replace(cell, state=CellState.FAILED, reason=told, folder=str(folder)))
        (only,) = found.cells
        done = replace(
            cell,
            state=CellState.DONE,
            verdict=str(found.verdict),
            reason="; ".join(found.reasons)[:1000],
            seconds=time.monotonic() - started,
            folder=str(folder),
            accelerator=only.accelerator,
        )
        self._history.update(done, self._results(done, only, tries))
        self._ui.say(f"{cell.place}: {done.verdict}{f': {done.reason}' if done.reason else ''}")
        return done

    def _again(self, found: RunResult, planned: Planned, cell: Cell) -> tuple[RunResult, Mapping[str, tuple[str, ...]]]:
        """Try what fails and did not the last time some more times: is it flaky?"""
        before = last_statuses(self._history, cell)
        fresh = [
            row.scenario
            for row in found.cells[0].rows
            if _status(_tested(row)) in BAD and before.get(row.scenario, "pass") not in BAD
        ]
        tries: dict[str, list[str]] = {name: [_status(_of(found, name))] for name in fresh}
        for number in range(self._file.on_regression.retry if fresh else 0):
            self._ui.say(f"{cell.place}: trying {len(fresh)} new failures again, {number + 1}")
            folder = run_folder(self._runs, f"again-{cell.place.tree}-{cell.place.target}")
            request = replace(self._hands.ask(planned, fresh), force=True)
            again = Validation(request, folder, self._cache, self._ui.view(str(cell.place), True)).run()
            for name in fresh:
                tries[name].append(_status(_of(again, name)))
        return found, {name: tuple(statuses) for name, statuses in tries.items()}

    def _results(self, cell: Cell, found: RunCell, tries: Mapping[str, tuple[str, ...]]) -> list[Result]:
        place, today = cell.place, self._today
        results = []
        for row in found.rows:
            tested = _tested(row)
            if tested is None:
                continue
            results.append(
                Result(
                    cell=cell.id,
                    scenario=row.scenario,
                    base=_status(row.base) if row.patched is not None else "",
                    status=str(tested.status),
                    change=str(row.change),
                    reason=tested.reason[:500],
                    seconds=tested.seconds,
                    splats=tuple(f"{splat.kind}: {splat.title}" for splat in tested.splats),
                    evidence=str(tested.evidence or ""),
                    tries=tries.get(row.scenario, ()),
                    quarantined=self._file.quarantined(place.tree, place.target, place.flavour, row.scenario, today),
                )
            )
        return results

    def _follow(self, cell: Cell, planned: Planned, regressions: Regressions) -> list[tuple[Cell, Result]]:
        """What of a cell is a new failure that counts; those are bisected."""
        if cell.state is not CellState.DONE:
            return []
        fresh = regressions.of(cell)
        regressions.follow(cell, planned, fresh)
        return [(cell, result) for result in fresh]

    def _ended(self, cell: Cell) -> Cell:
        self._history.update(cell)
        self._ui.say(f"{cell.place}: {cell.state}: {cell.reason}")
        return cell

    def _when(self, cell: Cell) -> str:
        night = self._history.night(cell.night)
        return night.started[:10] if night else "?"


def _tested(row: Row) -> Outcome | None:
    """The outcome on the kernel under test."""
    return row.patched or row.base


def _of(found: RunResult, name: str) -> Outcome | None:
    return next((_tested(row) for row in found.rows if row.scenario == name), None)


def _status(outcome: Outcome | None) -> str:
    return str(outcome.status) if outcome else ""
