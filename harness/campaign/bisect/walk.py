"""``kph bisect``: from two ends and a scenario to the commit between them that is to blame, with proof."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from harness.cache import Cache
from harness.campaign.bisect import history as histories
from harness.campaign.bisect.ends import Confirmed, NotReproduced, confirm
from harness.campaign.bisect.history import Commit
from harness.campaign.bisect.journal import Ends, Finding, Journal, Trial
from harness.campaign.bisect.knowledge import Knowledge
from harness.campaign.bisect.one import tested
from harness.campaign.bisect.order import Found, Order
from harness.campaign.bisect.proof import prove
from harness.campaign.bisect.prune import Pruned
from harness.campaign.bisect.search import Contradiction, Look, Search
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.tester import Tester, short
from harness.campaign.bisect.trees import Trees
from harness.campaign.slots import Slots, usual
from harness.proc import Door
from harness.ui import Ui


class Bisection:
    """One bisection; what it leaves is in ``folder``, and so is what it goes on from."""

    def __init__(
        self, order: Order, folder: Path, journal: Journal, cache: Cache, ui: Ui, began: float | None = None
    ) -> None:
        """``began``: the monotonic time from which its seconds count; default now."""
        # Passes are kept for later runs, crashes are not: of a failure that comes and goes nothing kept may count.
        request = replace(order.request, force=order.request.force or order.flaky)
        self._order, self._folder, self._journal = replace(order, request=request), folder, journal
        self._cache, self._ui = cache, ui
        self._door = Door(folder / "commands.log", ui.timeline)
        self._started = began or time.monotonic()
        self._before = journal.seconds
        self._known = 0.0  # seconds until there was nothing left to search
        self._trees: Trees
        self._tester: Tester
        self._knowledge: Knowledge
        self._pruned: Pruned | None = None  # what was searched
        self._search: Search | None = None

    def run(self) -> Found:
        """Raises UserError and InfraError; either leaves the journal as it is, so that it can be resumed."""
        try:
            found = self._run()
        except BaseException:
            self._door.close()
            self._journal.spent(time.monotonic() - self._started, over=False)
            raise
        self._journal.spent(time.monotonic() - self._started, over=True)
        return found

    # --- in the order in which it happens ---------------------------------------
    def _run(self) -> Found:
        order, request = self._order, self._order.request
        with self._ui.phase("fetch"):
            ends = self._ends()
        slots = Slots(request.jobs or usual(request.targets[0].memory_mib))
        self._tester = Tester(request, order.scenario, self._folder, self._cache, self._door, self._ui, slots)
        for test in self._journal.order:
            self._tester.learn(test)
        try:
            confirmed = confirm(order, ends, self._trees, self._tester, self._journal, self._ui)
        except NotReproduced as why:
            return self._found(ends, str(why))
        history = histories.read(self._trees.git, ends.base, ends.new)
        self._knowledge = Knowledge(order, ends, history, self._trees, self._tester, self._journal, self._ui)
        try:
            self._walk(confirmed)
        except Contradiction as why:
            return self._found(ends, f"the results contradict each other: {why}")
        return self._concluded(ends, confirmed)

    def _ends(self) -> Ends:
        order, known = self._order, self._journal.ends
        newer = known.new if known else order.new
        self._trees = Trees.of(order.request.tree, newer, order.fixups, self._cache, self._door, self._ui)
        if known:
            return known
        old, new = self._trees.commit(order.old), self._trees.end.commit
        ends = Ends(old, new, histories.common(self._trees.git, old, new))
        if ends.base != old:
            self._ui.say(f"{short(old)} is not an ancestor of {short(new)}: they parted at {short(ends.base)}")
        self._journal.set_ends(ends)
        return ends

    def _walk(self, confirmed: Confirmed) -> None:
        """Test one commit after the other, until nothing more can be learned."""
        assert self._journal.ends is not None
        ends = (self._journal.ends.base, self._journal.ends.new)
        for name in ends:
            self._tester.read_by(self._trees.tree(name), build=True)
        for test in self._journal.tests.values():
            if test.identity and not test.shared and ":" not in test.name and test.name not in ends:
                self._tester.read_by(self._trees.tree(test.name), build=False)
        left = -1
        while True:
            self._pruned = self._knowledge.pruned
            if left != len(self._pruned.graph.nodes):
                left, count = len(self._pruned.graph.nodes), len(self._pruned.same)
                self._ui.say(f"{left} of {count} commits touch what the builds read; the others cannot matter")
            self._search = self._knowledge.search(confirmed.rate)
            looks = () if self._search.culprit else self._search.next(self._order.parallel)
            if not looks:
                self._known = self._spent()
                return
            self._tell(self._search, looks)
            self._look(looks, confirmed.signature)

    def _tell(self, search: Search, looks: Sequence[Look]) -> None:
        left = sum(1 for _, chance in search.suspects if chance > (1 - search.confidence) / len(search.graph.nodes))
        more = max(1, math.ceil(math.log2(max(left, 2)) / math.log2(len(looks) + 1)))
        each = search.costs.build + looks[0].runs * search.costs.run
        names = ", ".join(f"{short(look.commit)} {self._subject(look.commit)!r}" for look in looks)
        self._ui.say(f"{left} commits may be to blame; about {more} more tests, {more * each:.0f} s: {names}")

    def _subject(self, commit: str) -> str:
        return self._knowledge.history.by_id[commit].subject

    def _look(self, looks: Sequence[Look], signature: Signature) -> None:
        """Make the tests, each in a lane of its own, and keep what comes of each as soon as it is known."""
        with ThreadPoolExecutor(len(looks), thread_name_prefix="lane") as pool:
            try:
                futures = [pool.submit(self._one, look, signature, lane) for lane, look in enumerate(looks)]
                failures = []
                for future in as_completed(futures):
                    if error := future.exception():
                        failures.append(error)
                        self._door.close()  # the others need not go on
                    else:
                        self._keep(future.result())
            except BaseException:
                self._door.close()
                raise
        if failures:
            raise failures[0]

    def _one(self, look: Look, signature: Signature, lane: int) -> Trial:
        twin = self._knowledge.twin(look, look.commit)
        return twin or tested(look, signature, lane, self._trees, self._tester, self._journal.tests)

    def _keep(self, test: Trial) -> None:
        self._journal.test(test)
        told = f": {test.reason}" if test.reason else ""
        self._ui.say(f"{short(test.name)} is {test.mark}{told}")

    # --- at the end ----------------------------------------------------------------
    def _concluded(self, ends: Ends, confirmed: Confirmed) -> Found:
        assert self._search is not None and self._pruned is not None
        if not self._pruned.graph.nodes:
            return self._found(ends, "no commit of the range touches what the builds read")
        if self._search.culprit is None:
            return self._found(ends, self._range(self._search))
        culprit, chance, findings = self._proof(confirmed)
        wrong = [finding for finding in findings if finding.held is False]
        blame = "mended it" if self._order.mends else "is the first bad commit"
        text = f"{culprit.short} ({culprit.subject}) {blame}"
        if self._order.flaky:
            text += f", with {chance:.1%} confidence"
        if wrong:
            text += f"; but {'; '.join(f'it did not hold that {each.what}: {each.why}' for each in wrong)}"
        return replace(
            self._found(ends, text),
            # Whether it can be taken back is not in our hands; that it fails and its parent does not must be seen.
            proved=not wrong and all(finding.held for finding in findings[:-1]),
            findings=findings,
            culprit=culprit,
            confidence=chance,
            diff=self._trees.git.text("show", "--format=fuller", "--stat", "--patch", culprit.id),
        )

    def _proof(self, confirmed: Confirmed) -> tuple[Commit, float, tuple[Finding, ...]]:
        """The culprit, its probability, and what speaks for it. What a proof finds may make another one the culprit."""
        assert self._search is not None and self._pruned is not None
        test = self._prover(confirmed)
        while True:
            assert self._search.culprit is not None
            name, chance = self._search.culprit
            culprit = self._knowledge.history.by_id[name]
            self._ui.say(f"{culprit.short} {culprit.subject!r} is to blame; to be proved")
            with self._ui.phase("prove"):
                findings = prove(culprit, self._order.mends, self._pruned, self._journal, self._trees, test)
            if not self._order.flaky or all(finding.held is not False for finding in findings):
                return culprit, chance, findings
            self._walk(confirmed)
            if self._search.culprit is None or self._search.culprit[0] == name:
                return culprit, self._search.chance_of(name), findings

    def _prover(self, confirmed: Confirmed) -> Callable[[str], Trial]:
        """Tests a commit, or ``revert:`` and one, as often as the confidence asks, unless that is known already."""

        def test(name: str) -> Trial:
            known = self._journal.tests.get(name)
            if known and not known.believed and (known.mark is not Mark.GOOD or known.hidden >= confirmed.runs):
                return known
            had = known.hidden if known and not known.believed else 0
            look = Look(name, confirmed.runs - had)
            house = (self._trees, self._tester, self._journal.tests, self._knowledge.history)
            self._keep(self._knowledge.twin(look, self._commit(name)) or tested(look, confirmed.signature, 0, *house))
            return self._journal.tests[name]

        return test

    def _commit(self, name: str) -> str:
        """The commit whose sources are tested under ``name``, fixups apart."""
        what, _, commit = name.rpartition(":")
        return self._trees.bare(self._knowledge.history.by_id[commit]).commit if what else commit

    def _range(self, search: Search) -> str:
        suspects = search.suspects
        skipped = [name for name, _ in suspects if name in search.skipped]
        reasons = dict.fromkeys(self._journal.tests[name].reason for name in skipped if name in self._journal.tests)
        why = f"; untested among them are {len(skipped)}: {'; '.join(reasons)}" if skipped else ""
        names = sorted((name for name, _ in suspects), key=search.graph.index.__getitem__)
        oldest, newest = names[0], names[-1]
        if self._order.flaky and not skipped:
            name, chance = suspects[0]
            return f"not decided: {short(name)} is the most likely, with {chance:.1%}, of {len(suspects)} commits"
        return f"it is one of {len(suspects)} commits from {short(oldest)} to {short(newest)}{why}"

    def _spent(self) -> float:
        """Seconds of work so far, over all parts of a bisection that was resumed."""
        return self._before + time.monotonic() - self._started

    def _found(self, ends: Ends, conclusion: str) -> Found:
        old, new = (histories.commit(self._trees.git, name) for name in (ends.old, ends.new))
        return Found(
            folder=self._folder,
            order=self._order,
            conclusion=conclusion,
            proved=False,
            old=old,
            new=new,
            tests=tuple(self._journal.order),
            journal=self._journal,
            history=self._knowledge.history if self._pruned else None,
            pruned=self._pruned,
            signature=self._journal.signature,
            search=self._search,
            seconds=self._spent(),
            known=self._known,
            builds=sum(test.built for test in self._journal.tests.values()),
        )
