"""What a bisection is asked, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.campaign.bisect.history import Commit, History
from harness.campaign.bisect.journal import Finding, Journal, Trial
from harness.campaign.bisect.prune import Pruned
from harness.campaign.bisect.search import Search
from harness.campaign.bisect.signature import Signature
from harness.campaign.request import Request
from harness.scenario.schema import Scenario


@dataclass(frozen=True)
class Order:
    """What the user asked for, names already checked."""

    request: Request  # one target, one flavour; what each commit is tested with
    scenario: Scenario | None  # None: the suite's tests are the guest's own, and ``request.patterns`` names the one
    good: str  # revision without the failure
    bad: str  # revision with it
    mends: bool = False  # --find-fix: the failure is older, and the commit is sought that took it away
    title: str = ""  # --splat: what counts is a splat with this title
    confirm: int = 2  # runs on each end
    flaky: bool = False  # the failure does not show in each run
    confidence: float = 0.95  # of a flaky one's culprit
    parallel: int = 1  # commits at a time
    fixups: tuple[str, ...] = ()

    @property
    def old(self) -> str:
        """The older end."""
        return self.bad if self.mends else self.good

    @property
    def new(self) -> str:
        """The newer end."""
        return self.good if self.mends else self.bad

    @property
    def test(self) -> str:
        """The scenario's name."""
        return self.scenario.id if self.scenario else self.request.patterns[0]


@dataclass(frozen=True)
class Found:
    """What a bisection came to."""

    folder: Path
    order: Order
    conclusion: str  # in one or two sentences
    proved: bool  # the culprit is known, and nothing speaks against it
    old: Commit
    new: Commit
    tests: tuple[Trial, ...]  # all of them, in order
    journal: Journal
    history: History | None = None  # None when it ended before the search
    pruned: Pruned | None = None
    signature: Signature | None = None
    search: Search | None = None
    culprit: Commit | None = None
    confidence: float = 0.0  # of the culprit
    findings: tuple[Finding, ...] = ()  # the points of the proof
    diff: str = ""  # the culprit's, with its message
    seconds: float = 0.0  # of work, over all parts of a bisection that was resumed
    known: float = 0.0  # of them, those until the search was over, and the proof began; 0: it did not come to that
    builds: int = 0  # kernels that make was asked for, the ends included

    @property
    def suspects(self) -> tuple[tuple[Commit, float], ...]:
        """The commits that may be to blame, the most likely first."""
        if self.search is None or self.history is None:
            return ()
        return tuple((self.history.by_id[name], chance) for name, chance in self.search.suspects)
