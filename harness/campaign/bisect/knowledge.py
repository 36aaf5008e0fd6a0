"""What is known of the commits between the ends: which of them matter, and what the tests so far say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from harness.campaign.bisect import prune as pruning
from harness.campaign.bisect.history import History
from harness.campaign.bisect.journal import Ends, Journal, Trial
from harness.campaign.bisect.one import costs_of
from harness.campaign.bisect.order import Order
from harness.campaign.bisect.prune import Pruned, Reads
from harness.campaign.bisect.rate import Rate
from harness.campaign.bisect.search import Look, Search, Seen
from harness.campaign.bisect.signature import Mark
from harness.campaign.bisect.tester import Tester, short
from harness.campaign.bisect.trees import Trees
from harness.ui import Ui


class Knowledge:
    """It grows with the journal and with what the builds of the tester read."""

    def __init__(
        self, order: Order, ends: Ends, history: History, trees: Trees, tester: Tester, journal: Journal, ui: Ui
    ) -> None:
        self.history = history
        self._order, self._ends, self._trees, self._tester = order, ends, trees, tester
        self._journal, self._ui = journal, ui
        self._sources = order.request.suite.spec.sources
        self._pruned: tuple[Reads, Pruned] | None = None

    @property
    def pruned(self) -> Pruned:
        """The history by all that is known of what builds read."""
        reads = self._tester.reads
        if self._pruned is None or self._pruned[0] != reads:
            with self._ui.phase("prune"):
                matters = pruning.matters(self._trees.git, self.history.edges(), reads, self._sources)
                self._pruned = reads, pruning.prune(self.history, matters)
        return self._pruned[1]

    def search(self, rate: Rate) -> Search:
        """The search with all that the tests so far say. Raises Contradiction."""
        pruned, order = self.pruned, self._order
        costs = costs_of(self._journal.tests.values())
        lasts = Counter(pruned.same.values())
        likely = pruning.likely(pruned, self._sources)
        told = (order.confidence, order.mends)
        search = Search(pruned.graph, rate, *told, costs=costs, lasts=lasts, likely=likely)
        for test, node in self._evidence(search, pruned):
            if test.mark in (Mark.SKIP, Mark.UNKNOWN):
                search = search.skip(node)
            else:
                search = search.after(node, Seen(test.shown, test.hidden))
        search.check()
        return search

    def _evidence(self, search: Search, pruned: Pruned) -> Iterator[tuple[Trial, str]]:
        """The tests of commits that matter. Runs that two commits share, since they have one image, count once: where
        they say more.
        """
        shared: dict[str, tuple[Trial, str]] = {}
        for test in self._journal.tests.values():
            node = pruned.same.get(test.name, "")
            if node not in search.graph.index:
                continue  # has the image of the older end, or is no commit of this history
            if test.mark is not Mark.GOOD:
                yield test, node
                continue
            root = test.shared or test.name
            before = shared.get(root)
            if before is None or search.covers(node, before[1]):
                shared[root] = test, node
        yield from shared.values()

    def twin(self, look: Look, commit: str) -> Trial | None:
        """The result of what was tested with the sources of ``commit``, as when a change was taken back: it need not
        even be built.
        """
        commits = {self._ends.base, *self.history.by_id} - {look.commit}
        tests = [test for test in self._journal.tests.values() if test.name in commits and not test.believed]
        others = [test for test in tests if test.mark is not Mark.GOOD or test.hidden >= look.runs]
        differ = pruning.matters(self._trees.git, [(test.name, commit) for test in others], self._tester.reads)
        twin = next((test for test in others if not differ[test.name, commit]), None)
        if twin is None:
            return None
        self._ui.say(f"{short(look.commit)}: all that a build reads is as in {short(twin.name)}, which is {twin.mark}")
        return replace(twin, name=look.commit, built=False, shared=twin.name, seconds=0.0, build_seconds=0.0)
