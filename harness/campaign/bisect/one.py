"""One look: a commit, or the newer end without one, made into a tree and tested; or the reason why it cannot be."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from harness.build.kconfig import OptionsLost
from harness.campaign.bisect.history import History
from harness.campaign.bisect.journal import Trial
from harness.campaign.bisect.search import Costs, Look
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.tester import Tester
from harness.campaign.bisect.trees import Trees, Unfit
from harness.source.linux import NotLinux

_LEAST = 0.1  # seconds; nothing is for free


def tested(
    look: Look,
    signature: Signature,
    lane: int,
    trees: Trees,
    tester: Tester,
    known: Mapping[str, Trial],
    history: History | None = None,
) -> Trial:
    """What comes of a commit, or of the newer end without one; one that makes no tree is skipped."""
    what, _, name = look.commit.rpartition(":")
    before = known.get(look.commit)
    first = before.shown + before.hidden if before and not before.believed else 0
    try:
        tree = trees.without(history.by_id[name]) if what and history else trees.tree(look.commit)
        return tester.test(look.commit, tree, signature, look.runs, first, known, lane)
    except Unfit as why:
        return Trial(look.commit, Mark.SKIP, str(why))
    except (OptionsLost, NotLinux) as error:
        return Trial(look.commit, Mark.SKIP, " ".join(error.message.split()))


def costs_of(tests: Iterable[Trial]) -> Costs:
    """What a build and a run take here, by those that were made so far."""
    made = [test for test in tests if not test.shared]
    built = [test.build_seconds for test in made if test.built]
    counted = [test for test in made if test.shown + test.hidden and test.identity and not test.kept]
    runs = [(test.seconds - test.build_seconds) / (test.shown + test.hidden) for test in counted]
    usual = Costs()
    build = statistics.median(built) if built else usual.build
    run = statistics.median(runs) if runs else usual.run
    return Costs(max(build, _LEAST), max(run, _LEAST))
