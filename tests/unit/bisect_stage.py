"""Bisections of a small repository whose commits say what their kernels do."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.bisect import walk
from harness.campaign.bisect.journal import Journal, Trial
from harness.campaign.bisect.order import Found, Order
from harness.campaign.bisect.prune import Reads
from harness.campaign.bisect.signature import Signature
from harness.campaign.bisect.tester import Run, Runs, judged
from harness.campaign.bisect.walk import Bisection
from harness.campaign.request import Request
from harness.machine import target as targets
from harness.model import Outcome, Splat, SplatKind, Status, StepResult, Tree
from harness.scenario import load as suites
from harness.source.git import Git
from tests.unit.source_tree import BASE, Desk, git, write_tree

SUITE = suites.load_suite("sva")
SCENARIO = next(each for each in SUITE.scenarios if each.id == "global-first-bind")
CODE, OTHER, TEXT = "drivers/iommu/sva.c", "drivers/iommu/Makefile", "Documentation/sva.rst"
OOPS = Splat(SplatKind.OOPS, "Oops in sva_bind", ("sva_bind",), (), 1)
# Word in the source -> what a kernel with it does.
FAILS, CRASHES, ELSE, NO_BUILD, NO_BOOT, LACKS = "FAILS", "CRASHES", "ELSE", "NO_BUILD", "NO_BOOT", "LACKS"


class Imagined:
    """Stands in for Tester."""

    def __init__(self, desk: Desk, folder: Path, chance: random.Random | None = None, rate: float = 1.0) -> None:
        self.desk, self.folder, self.chance, self.rate = desk, folder, chance, rate
        self.asked: list[str] = []
        self.reads = Reads()
        self.stop: Callable[[str], None] = lambda _: None

    def learn(self, test: Trial) -> None: ...

    def read_by(self, tree: Tree, *, build: bool) -> None:
        self._read(tree)

    def begin(self, name: str, tree: Tree, runs: int, pool: ThreadPoolExecutor) -> Future[Runs]:
        return pool.submit(self.raw, name, tree, runs)

    def raw(self, name: str, tree: Tree, runs: int, first: int = 0) -> Runs:
        self.asked.append(name)
        self.stop(name)
        text = Git(self.desk.door, tree.repo).text("show", f"{tree.commit}:{CODE}")
        built = NO_BUILD not in text
        if built:
            self._read(tree)
        done = tuple(self._one(text) for _ in range(runs)) if built else ()
        failure = "" if built else "does not build: error: no such thing"
        return Runs(done, failure, tree.content if built else "", True, 1.0, 2.0, self.folder / "evidence")

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
        done = self.raw(name, tree, runs, first)
        cut = next((at for at, run in enumerate(done.runs) if run.outcome.status is not Status.PASS), runs)
        return judged(name, [dataclasses.replace(done, runs=done.runs[: cut + 1])], signature, self.folder)

    def _read(self, tree: Tree) -> None:
        extra = {"Documentation/sva.rst"} if "READS_TEXT" in self._text(tree) else set()
        self.reads |= Reads(frozenset({CODE, "arch/x86/x.c"} | extra))

    def _text(self, tree: Tree) -> str:
        return Git(self.desk.door, tree.repo).text("show", f"{tree.commit}:{CODE}")

    def _one(self, text: str) -> Run:
        passed = Outcome(SCENARIO.id, Status.PASS, "", 1.0)
        shows = self.chance is None or self.chance.random() < self.rate
        if NO_BOOT in text:
            return Run(dataclasses.replace(passed, status=Status.CRASH, reason="the kernel dies in boot"), (), False)
        if LACKS in text:
            return Run(dataclasses.replace(passed, status=Status.SKIP, reason="no own PASIDs"), (), True)
        if ELSE in text:
            return Run(dataclasses.replace(passed, status=Status.HANG, reason="no answer"), (), True)
        if CRASHES in text and shows:
            return Run(dataclasses.replace(passed, status=Status.CRASH, reason="panic", splats=(OOPS,)), (), True)
        if FAILS in text and shows:
            step = StepResult("3", "alice: bind", False, "success", "EBUSY", 0.1)
            return Run(dataclasses.replace(passed, status=Status.FAIL, reason="step 3", steps=(step,)), (), True)
        return Run(passed, (), True)


@dataclasses.dataclass
class Stage:
    """A repository whose commits say what they do, and bisections of it."""

    desk: Desk
    repo: Path
    root: Path
    monkeypatch: pytest.MonkeyPatch
    commits: list[str]
    tester: Imagined | None = None

    @staticmethod
    def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
        desk = Desk.at(folder)
        repo = folder / "linux"
        write_tree(repo, BASE)
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "base")):
            git(repo, *words)
        return Stage(desk, repo, folder, monkeypatch, [git(repo, "rev-parse", "HEAD").strip()])

    def commit(self, words: str = "", file: str = CODE, subject: str = "") -> str:
        """A commit: ``words`` in place of those of the one before, beside what makes each differ."""
        number = len(self.commits)
        path = self.repo / file
        lines = path.read_text().splitlines()
        kept = [line for line in lines if not line.startswith("// now")] if file == CODE else lines
        path.write_text("\n".join([*kept, f"// step {number}", f"// now {words}"]) + "\n")
        git(self.repo, "commit", "-q", "-a", "-m", subject or f"step {number}")
        self.commits.append(git(self.repo, "rev-parse", "HEAD").strip())
        return self.commits[-1]

    def run(self, name: str = "b", **order: Any) -> Found:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        self.tester = self.tester or Imagined(self.desk, folder)
        self.tester.folder = folder
        self.monkeypatch.setattr(walk, "Tester", lambda *_: self.tester)
        request = Request(
            tree=str(self.repo),
            base=None,
            series=(),
            targets=(targets.load("x86_64-vtd"),),
            suite=SUITE,
            scenarios=(SCENARIO,),
            patterns=(SCENARIO.id,),
            behaviours={},
            flavours=("base",),
            channel="serial",
            accelerator=None,
            qemu=None,
            jobs=1,
        )
        words = {"good": self.commits[0], "bad": self.commits[-1], **order}
        return Bisection(
            Order(request, SCENARIO, **words), folder, Journal(folder, write=True), self.desk.cache, self.desk.ui
        ).run()
