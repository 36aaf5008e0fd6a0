"""The two ends: each is tested more than once before anything else is, and what counts as bad is locked on them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from harness.campaign.bisect import signature as signatures
from harness.campaign.bisect.journal import Ends, Journal, Trial
from harness.campaign.bisect.order import Order
from harness.campaign.bisect.rate import Rate
from harness.campaign.bisect.signature import Mark, Reading, Signature
from harness.campaign.bisect.tester import Run, Runs, Tester, judged, short
from harness.campaign.bisect.trees import Unfit
from harness.model import Splat, Tree
from harness.ui import Ui

_ENOUGH = 5  # times that a flaky symptom is seen before its rate is believed
_AT_MOST = 40  # runs to see it so often
_TO_TELL = 10  # runs from which the rate of a failure that does not always show is told


@dataclass(frozen=True)
class Confirmed:
    """The ends are what the user says they are."""

    signature: Signature
    rate: Rate
    runs: int  # without the symptom, after which a commit counts as good


class Makes(Protocol):
    """Makes trees of names."""

    def tree(self, name: str, /) -> Tree:
        """The tree that ``name`` stands for. Raises Unfit."""


class NotReproduced(Exception):
    """An end is not what the user says it is; the message says what it is."""


def confirm(order: Order, ends: Ends, trees: Makes, tester: Tester, journal: Journal, ui: Ui) -> Confirmed:
    """Test both ends, or take what ``journal`` has of them.

    Raises NotReproduced; UserError and InfraError as a test does.
    """
    return _Ends(order, ends, trees, tester, journal, ui).confirm()


@dataclass(frozen=True)
class _Ends:
    order: Order
    ends: Ends
    trees: Makes
    tester: Tester
    journal: Journal
    ui: Ui

    def confirm(self) -> Confirmed:
        without, having = (self.ends.new, self.ends.old) if self.order.mends else (self.ends.old, self.ends.new)
        signature, bad = self._bad(having, without)
        rate = Rate(bad.shown, bad.hidden, always=not self.order.flaky)
        try:
            runs = rate.runs_for((1 - self.order.confidence) / 20) if self.order.flaky else self.order.confirm
        except ValueError as why:
            raise NotReproduced(str(why)) from why
        self._good(without, signature, runs, "good")
        if self.ends.base != self.ends.old:
            self._parting(signature, runs)
        return Confirmed(signature, rate, runs if self.order.flaky else 1)

    def _bad(self, having: str, without: str) -> tuple[Signature, Trial]:
        """The signature, and what came of the end that has it."""
        known, signature = self.journal.tests.get(having), self.journal.signature
        if known and signature and not known.believed:
            return signature, known
        good, first = self._both(without, having)
        # What the good one prints, too, is no symptom.
        before = tuple(splat for run in good.runs for splat in (*run.boot_splats, *run.outcome.splats))
        done = [first]
        while True:
            every = tuple(run for each in done for run in each.runs)
            count = len(every)
            signature = self._locked(every, before)
            shown = self._count(signature, every)
            if self._settled(shown, count):
                break
            done.append(self._raw("bad", having, self.order.confirm, count))
        if signature is None:
            what = f"shows no splat titled {self.order.title!r}" if self.order.title else "does not fail"
            raise NotReproduced(f"the bad end {short(having)} {what}: {_outcome(every)} in {count} runs")
        self._require(having, signature, every, shown)
        test = judged(having, done, signature, self.tester.folder)
        self.journal.lock(signature, judged(without, [good], signature, self.tester.folder), test)
        self.ui.say(f"{short(having)} is bad in {shown} of {count} runs: {signature}")
        return signature, test

    def _require(self, having: str, signature: Signature, every: Sequence[Run], shown: int) -> None:
        """Raise NotReproduced unless the symptom shows often enough."""
        told = f"on the bad end {short(having)} the failure ({signature}) shows in {shown} of {len(every)} runs"
        if self.order.flaky and shown < _ENOUGH:
            raise NotReproduced(f"{told}, too rarely to be bisected; --stress makes a race more likely")
        if not self.order.flaky and shown < len(every):
            readings = (_read(signature, run) for run in every)
            other = next((each.reason for each in readings if each.mark not in (Mark.BAD, Mark.GOOD)), "")
            raise NotReproduced(f"{told}; {other or '--flaky bisects a failure that does not always show'}")

    def _locked(self, runs: Sequence[Run], before: Sequence[Splat]) -> Signature | None:
        """What counts as bad: what most of the runs show."""
        if self.order.title:
            named = Signature("", title=self.order.title)
            return named if self._count(named, runs) else None
        locks = (signatures.lock(run.outcome, run.boot_splats, before, run.booted) for run in runs)
        found = [each for each in locks if each is not None]
        return max(found, key=lambda each: self._count(each, runs), default=None)

    def _count(self, signature: Signature | None, runs: Sequence[Run]) -> int:
        return sum(_read(signature, run).mark is Mark.BAD for run in runs) if signature else 0

    def _settled(self, shown: int, runs: int) -> bool:
        """Whether the bad end has been run often enough."""
        if self.order.flaky:
            return shown >= _ENOUGH or runs >= _AT_MOST
        return shown == runs or runs >= _TO_TELL

    def _good(self, without: str, signature: Signature, runs: int, what: str) -> None:
        test = self.journal.tests.get(without)
        had = test.hidden if test and not test.believed else 0
        if test is None or test.believed or (test.mark is Mark.GOOD and had < runs):
            self.journal.test(self._test(without, signature, runs - had, had))
            test = self.journal.tests[without]
        count = test.shown + test.hidden
        if test.mark is Mark.BAD:
            raise NotReproduced(
                f"the {what} end {short(without)} has the failure, too, in {test.shown} of {count} runs: {test.reason}"
            )
        if test.mark is not Mark.GOOD:
            raise NotReproduced(f"the {what} end {short(without)} says nothing of the failure: {test.reason}")
        self.ui.say(f"{short(without)} is good in {test.hidden} of {count} runs")

    def _parting(self, signature: Signature, runs: int) -> None:
        """Where the branches of the ends parted must be like the older end."""
        base = self.ends.base
        if not self.order.mends:
            self._good(base, signature, runs, "common")
            return
        test = self.journal.tests.get(base)
        if test is None or test.believed:
            test = self._test(base, signature, runs, 0)
            self.journal.test(test)
        if test.mark is not Mark.BAD:
            raise NotReproduced(
                f"the ends parted at {short(base)}, which is {test.mark}, not bad as {short(self.ends.old)}"
            )

    def _both(self, without: str, having: str) -> tuple[Runs, Runs]:
        """Both ends; the good one is run while the bad one is built."""
        with ThreadPoolExecutor(1, thread_name_prefix="good-end") as pool:
            try:
                good = self.tester.begin(without, self._tree("good", without), self.order.confirm, pool)
                bad = self._raw("bad", having, self.order.confirm)
                if bad.failure:
                    raise NotReproduced(f"the bad end {short(having)} cannot be tested: {bad.failure}")
                return good.result(), bad
            except (KeyboardInterrupt, SystemExit):
                self.tester.stop()  # the pool waits for its thread, and that for its guests
                raise

    def _tree(self, what: str, name: str) -> Tree:
        try:
            return self.trees.tree(name)
        except Unfit as why:
            raise NotReproduced(f"the {what} end {short(name)} cannot be tested: {why}") from why

    def _raw(self, what: str, name: str, runs: int, first: int = 0) -> Runs:
        return self.tester.raw(name, self._tree(what, name), runs, first)

    def _test(self, name: str, signature: Signature, runs: int, first: int) -> Trial:
        try:
            return self.tester.test(name, self.trees.tree(name), signature, runs, first, self.journal.tests)
        except Unfit as why:
            return Trial(name, Mark.SKIP, str(why))


def _read(signature: Signature, run: Run) -> Reading:
    return signatures.read(signature, run.outcome, run.boot_splats, run.booted)


def _outcome(runs: Sequence[Run]) -> str:
    first = runs[0].outcome
    return f"{first.status} ({first.reason})" if first.reason else str(first.status)
