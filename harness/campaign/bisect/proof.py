"""Whether the culprit is one: it has the symptom, its parent has not, and neither has the newer end without it."""

from __future__ import annotations

from collections.abc import Callable

from harness.campaign.bisect.history import Commit
from harness.campaign.bisect.journal import Finding, Journal, Trial
from harness.campaign.bisect.prune import Pruned
from harness.campaign.bisect.signature import Mark
from harness.campaign.bisect.tester import short
from harness.campaign.bisect.trees import Trees, Unfit


def prove(
    culprit: Commit,
    mends: bool,
    pruned: Pruned,
    journal: Journal,
    trees: Trees,
    test: Callable[[str], Trial],
) -> tuple[Finding, ...]:
    """Each point, once it is in the journal.

    ``test``: tests a commit, or the newer end with one taken back (``revert:ID``), unless that is known.
    """
    before, after = (Mark.BAD, Mark.GOOD) if mends else (Mark.GOOD, Mark.BAD)
    words = {Mark.BAD: "fails", Mark.GOOD: "passes"}
    found = [_held(f"the commit {words[after]}", test(culprit.id), after)]
    for parent in culprit.parents:
        name = pruned.same.get(parent, "")
        tested = name if name in journal.tests and parent not in journal.tests else parent
        alike = f", which has the image of {short(name)}," if tested != parent else ""
        found.append(_held(f"its parent {short(parent)}{alike} {words[before]}", test(tested), before))
    what = f"the newer end without it {words[before]}"
    try:
        trees.without(culprit)
    except Unfit as why:
        found.append(Finding(what, None, str(why)))
    else:
        found.append(_held(what, test(f"revert:{culprit.id}"), before))
    for finding in found:
        if journal.findings.get(finding.what) != finding:
            journal.find(finding)
    return tuple(found)


def _held(what: str, test: Trial, wanted: Mark) -> Finding:
    if test.mark in (Mark.SKIP, Mark.UNKNOWN):
        return Finding(what, None, test.reason)
    count = test.shown + test.hidden
    runs = f"{test.hidden if wanted is Mark.GOOD else test.shown} of {count} runs"
    return Finding(what, test.mark is wanted, runs if test.mark is wanted else test.reason)
