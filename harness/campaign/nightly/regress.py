"""What broke since the last night, and the commit that did it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.cache import Cache, write_whole
from harness.campaign.bisect.journal import Journal
from harness.campaign.bisect.order import Found, Order
from harness.campaign.bisect.walk import Bisection
from harness.campaign.nightly.file import NightlyFile
from harness.campaign.nightly.hands import Hands
from harness.campaign.nightly.history import History
from harness.campaign.nightly.plan import Planned
from harness.campaign.nightly.records import BAD, Bisected, Cell, Result
from harness.campaign.request import Request
from harness.campaign.validate import run_folder
from harness.errors import KphError
from harness.ui import Ui

_LOOKED = 30  # cells back, for the last good commit


class Regressions:
    """The new failures of a night, and what is done about them within the budget."""

    def __init__(self, file: NightlyFile, history: History, runs: Path, cache: Cache, ui: Ui, hands: Hands) -> None:
        self._hands = hands
        self._file, self._history, self._runs, self._cache, self._ui = file, history, runs, cache, ui
        self._left = file.on_regression.budget

    def of(self, cell: Cell) -> list[Result]:
        """The failures of ``cell`` that count, are steady, and were none the last time."""
        before = last_statuses(self._history, cell)
        return [
            result
            for result in self._history.results(cell)
            if result.status in BAD
            and before.get(result.scenario, "pass") not in BAD
            and not result.quarantined
            and "pass" not in result.tries
        ]

    def follow(self, cell: Cell, planned: Planned, fresh: Sequence[Result]) -> None:
        """Bisect what can be: the first of the failures that the same commit may have made; the others say the same."""
        done = {each.scenario for each in self._history.bisections(cell.id)}
        if not self._file.on_regression.bisect or not fresh or done:
            return
        for result in fresh:
            good = self._last_good(cell, result.scenario)
            if good is None or good.commit == cell.commit:
                continue
            if self._left <= 0:
                self._ui.say(f"{cell.place}: {result.scenario} is not bisected, the night's time for that is over")
                return
            self._bisect(cell, planned, result, good)
            return

    def _last_good(self, cell: Cell, scenario: str) -> Cell | None:
        """The last cell of the place in which it passed, on a commit of the same repository."""
        for last in self._history.last(cell.place, before=cell.night, count=_LOOKED):
            passed = any(each.scenario == scenario and each.status == "pass" for each in self._history.results(last))
            if passed and last.repo == cell.repo and Path(last.repo).name.startswith("git-"):
                return last
        return None

    def _bisect(self, cell: Cell, planned: Planned, result: Result, good: Cell) -> None:
        started = time.monotonic()
        self._ui.say(f"{cell.place}: bisecting {result.scenario} between {good.commit[:12]} and {cell.commit[:12]}")
        folder = run_folder(self._runs, f"bisect-{result.scenario}")
        journal = Journal(folder, write=True)
        journal.begin({"night": cell.night, "scenario": result.scenario})
        request = self._hands.ask(planned, [result.scenario])
        try:
            found = Bisection(self._order(request, planned, good, cell), folder, journal, self._cache, self._ui).run()
            self._keep(cell, result, found)
        except KphError as error:
            self._ui.say(f"{cell.place}: {result.scenario} cannot be bisected: {error}")
        finally:
            self._left -= time.monotonic() - started

    def _order(self, request: Request, planned: Planned, good: Cell, bad: Cell) -> Order:
        request = replace(request, base=None, series=(), snapshot=False)
        scenario = request.scenarios[0] if request.scenarios else None
        return Order(request, scenario, good.commit, bad.commit, fixups=planned.series)

    def _keep(self, cell: Cell, result: Result, found: Found) -> None:
        for name, text in self._hands.bisection(found).items():
            write_whole(found.folder / name, text.encode())
        culprit = found.culprit
        self._history.add_bisected(
            Bisected(
                0,
                cell.id,
                result.scenario,
                culprit.id if culprit else "",
                culprit.subject if culprit else "",
                culprit.author if culprit else "",
                found.proved,
                found.conclusion,
                str(found.folder),
            )
        )
        self._ui.say(f"{cell.place}: {result.scenario}: {found.conclusion}")


def last_statuses(history: History, cell: Cell) -> Mapping[str, str]:
    """Scenario -> its status the last time before ``cell``, at the same place."""
    last = history.last(cell.place, before=cell.night)
    return {each.scenario: each.status for found in last for each in history.results(found)}
