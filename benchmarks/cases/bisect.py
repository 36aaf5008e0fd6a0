"""(h) From two ends to the culprit among 64 commits, beside git bisect run with the same test."""

from __future__ import annotations

import json
import random
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import case, stats
from benchmarks.bench import KPH, Bench
from benchmarks.model import Limit, Measure, Unit
from benchmarks.turns import NotMeasured, Numbers, alternate
from tests.vm.bisect import history

KEY = "h"
TITLE = "bisection of 64 commits over Linux 7.3, ten of which touch what is built, x86_64-vtd"
ORDER = 4

_TEST = ("--target", "x86_64-vtd", "--scenario", history.SCENARIO)
_NOTE = "both ends are tested first; kph tests each twice"
_PROOF = "with the reverted culprit on the newer end, which git does not do"


class _Histories:
    """Two who bisect in turns, in one work tree; each history has kernels that were never built."""

    def __init__(self, bench: Bench, *, anywhere: bool) -> None:
        """``anywhere``: the commits that matter are in other places in each round, the same for both."""
        self._bench, self._anywhere = bench, anywhere
        self._repo = bench.home / "history"
        self._turns = 0

    def kph(self) -> Numbers:
        made = self._make()
        folder = Path(tempfile.mkdtemp(prefix="bisect-", dir=self._bench.evidence)) / "evidence"
        asked = ("--good", made.commits[0], "--bad", made.commits[-1])
        words = (KPH, "bisect", "--tree", made.repo, *asked, *_TEST, "--quiet", "--run-dir", folder)
        seconds = self._bench.command(*words)
        report = json.loads((folder / "report.json").read_text())
        _require(report["culprit"]["id"], made)
        ends = (made.commits[0], made.commits[-1])
        builds = sum(step["how"].startswith("built") for step in report["steps"] if step["name"] not in ends)
        return {"seconds": seconds, "builds": builds, "known": report["numbers"]["known"]}  # from the process's start

    def git(self) -> Numbers:
        made = self._make()
        history.git(made.repo, "checkout", "-q", "-f", "main")
        test = f"cd {made.repo} && {KPH} test-commit --quiet {' '.join(_TEST)}"
        good, bad = made.commits[0], made.commits[-1]
        seconds = self._bench.command("sh", "-c", f"{test} --commit {good}")
        seconds += self._bench.command("sh", "-c", f"{test} --commit {bad}", accepted=(1,))
        git = ("git", "-C", made.repo, "bisect")
        seconds += self._bench.command(*git, "start", bad, good)
        seconds += self._bench.command(*git, "run", "sh", "-c", test)
        _require(history.git(made.repo, "rev-parse", "refs/bisect/bad").strip(), made)
        log = history.git(made.repo, "bisect", "log").splitlines()
        steps = sum(line.startswith(("git bisect good ", "git bisect bad ", "git bisect skip ")) for line in log)
        self._bench.command(*git, "reset")
        return {"seconds": seconds, "steps": steps}

    def warm_up(self) -> None:
        """A whole kernel in the work tree of the history, so that neither pays for it."""
        self._bench.seed()
        made = history.make(self._repo, history.Layout(stamp=secrets.randbits(24)), self._bench.cache)
        history.git(made.repo, "checkout", "-q", "-f", "main")
        for commit in (made.commits[11], made.commits[0]):
            self._bench.command(KPH, "test-commit", "--quiet", "--tree", made.repo, *_TEST, "--commit", commit)

    def _make(self) -> history.Made:
        self._bench.seed()
        return history.make(self._repo, self._layout(), self._bench.cache)

    def _layout(self) -> history.Layout:
        round_number, self._turns = self._turns // 2, self._turns + 1
        stamp = secrets.randbits(24)
        return history.scattered(random.Random(round_number), stamp) if self._anywhere else history.Layout(stamp=stamp)


def _require(culprit: str, made: history.Made) -> None:
    if culprit != made.culprit:
        raise NotMeasured(f"the culprit is {made.culprit[:12]}, and {culprit[:12]} was found")


def measure(bench: Bench) -> Sequence[Measure]:
    """See Case."""
    bench.say("warming up: one kernel of the history")
    _Histories(bench, anywhere=False).warm_up()
    return (
        *_measured(bench, "history of the tests", _Histories(bench, anywhere=False), Limit(0.5)),
        *_measured(bench, "its commits anywhere", _Histories(bench, anywhere=True), None),
    )


def _measured(bench: Bench, what: str, histories: _Histories, limit: Limit | None) -> Sequence[Measure]:
    taken = alternate(bench.runs, {"kph": histories.kph, "git": histories.git})
    kph, git = taken["kph"], taken["git"]
    built, tested = f"{what}: kernels built beyond both ends", f"{what}: commits tested beyond both ends"
    known = stats.pairwise(kph.of("known"), git.of("seconds"))
    return (
        case.seconds(KEY, f"{what}: until the culprit is known", "kph", kph, "known", note=_NOTE),
        case.seconds(KEY, f"{what}: until it is proved", "kph", kph, note=_PROOF),
        case.seconds(KEY, f"{what}: until the culprit is known", "git bisect run", git, note=_NOTE),
        case.ratio(KEY, f"{what}: until the culprit is known", "kph / git bisect run", known, limit),
        case.ratios(KEY, f"{what}: until it is proved, or known", kph, git, "kph / git bisect run"),
        Measure(KEY, built, "kph", Unit.COUNT, kph.of("builds"), Limit(5), "", kph.failure),
        Measure(KEY, tested, "git bisect run", Unit.COUNT, git.of("steps"), None, "", git.failure),
    )
