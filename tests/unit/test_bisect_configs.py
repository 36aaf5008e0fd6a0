"""Which options make it fail, out of those in which two configurations differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.build import kconfig
from harness.campaign.bisect import configs as rooms
from harness.campaign.bisect.configs import ConfigBisection, ConfigFound, Configs
from harness.campaign.bisect.journal import Journal, Trial
from harness.campaign.bisect.order import Order
from harness.campaign.bisect.prune import Reads
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.tester import Run, Runs, judged
from harness.campaign.request import Request
from harness.errors import UserError
from harness.machine import target as targets
from harness.model import Outcome, Status, StepResult, Tree
from harness.report.bisection import config as report
from harness.scenario import load as suites
from tests.unit.source_tree import BASE, Desk, git, write_tree

SUITE = suites.load_suite("sva")
SCENARIO = SUITE.scenarios[0]
GOOD = "CONFIG_SAME=y\n" + "".join(f"# CONFIG_O{number} is not set\n" for number in range(20))
BAD = "CONFIG_SAME=y\n" + "".join(f"CONFIG_O{number}=y\n" for number in range(20))

Fails = Callable[[Mapping[str, str]], bool | None]  # None: it does not build


class Imagined:
    """Stands in for Tester: what the options say is what the kernel does."""

    def __init__(self, folder: Path, options: Callable[[str], str], fails: Fails) -> None:
        self.folder, self.options, self.fails = folder, options, fails
        self.reads = Reads()

    def learn(self, test: Trial) -> None: ...

    def begin(self, name: str, tree: Tree, runs: int, pool: ThreadPoolExecutor) -> Future[Runs]:
        return pool.submit(self.raw, name, tree, runs)

    def raw(self, name: str, tree: Tree, runs: int, first: int = 0) -> Runs:
        fails = self.fails(kconfig.options(self.options(name)))
        outcome = Outcome(SCENARIO.id, Status.PASS, "", 1.0)
        if fails:
            step = StepResult("2", "bind", False, "success", "EIO", 0.1)
            outcome = dataclasses.replace(outcome, status=Status.FAIL, reason="step 2", steps=(step,))
        done = () if fails is None else (Run(outcome, (), True),) * runs
        failure = "does not build: error" if fails is None else ""
        return Runs(done, failure, name, True, 1.0, 1.0, self.folder / "e")

    def test(
        self,
        name: str,
        tree: Tree,
        signature: Signature,
        runs: int,
        first: int = 0,
        known: object = None,
        lane: int = 0,
    ) -> Trial:
        return judged(name, [self.raw(name, tree, runs)], signature, self.folder)


Bisect = Callable[..., ConfigFound]


@pytest.fixture
def bisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bisect:
    def run(fails: Fails, good: str = GOOD, bad: str = BAD) -> ConfigFound:
        desk = Desk.at(tmp_path)
        repo = tmp_path / "linux"
        if not repo.exists():
            write_tree(repo, BASE)
            for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "base")):
                git(repo, *words)
        folder = tmp_path / "b"
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr(rooms, "Tester", lambda *words: Imagined(folder, words[-1], fails))
        known: dict[str, Any] = {"base": None, "series": (), "behaviours": {}, "channel": "serial", "qemu": None}
        request = Request(
            tree=str(repo),
            targets=(targets.load("x86_64-vtd"),),
            suite=SUITE,
            scenarios=(SCENARIO,),
            patterns=(SCENARIO.id,),
            flavours=("base",),
            accelerator=None,
            jobs=1,
            **known,
        )
        order = Order(request, SCENARIO, "", "")
        return ConfigBisection(
            order, Configs.of(good, bad), folder, Journal(folder, write=True), desk.cache, desk.ui
        ).run()

    return run


@pytest.mark.parametrize("needed", [(13,), (0,), (19,), (3, 11), (0, 19), (2, 9, 17)])
def test_the_options_that_fail_together_are_found(bisect: Bisect, needed: tuple[int, ...]) -> None:
    found = bisect(lambda options: all(options[f"CONFIG_O{place}"] == "y" for place in needed))
    assert [option.name for option in found.culprits] == [f"CONFIG_O{place}" for place in needed]
    assert found.proved and len(found.differ) == 20
    assert len({test.name for test in found.tests}) <= 2 + 7 * len(needed)
    text = report.files(found)["report.txt"]
    assert f"\n  CONFIG_O{needed[0]}: n is good, y is bad" in text
    assert "\n  7 CONFIG_O7: n is good, y is bad" in text, "what the numbers in the names of tests mean"
    again = bisect(lambda options: pytest.fail("everything is in the journal"))
    assert again.conclusion == found.conclusion


def test_an_option_that_can_take_the_place_of_another_is_said(bisect: Bisect) -> None:
    found = bisect(lambda options: "y" in (options["CONFIG_O4"], options["CONFIG_O12"]))
    assert [option.name for option in found.culprits] == ["CONFIG_O4"]
    assert not found.proved and "did not hold that without CONFIG_O4 the bad configuration passes" in found.conclusion


def test_options_that_do_not_build_are_named_with_the_culprit(bisect: Bisect) -> None:
    def fails(options: Mapping[str, str]) -> bool | None:
        count = sum(value == "y" for name, value in options.items() if name != "CONFIG_SAME")
        return None if count in (6, 7) else count >= 7

    found = bisect(fails)
    assert not found.proved and found.culprits == ()
    assert found.conclusion == "it is one of 3 options: CONFIG_O5, CONFIG_O6, CONFIG_O7"


def test_ends_that_do_not_differ_are_refused(bisect: Bisect) -> None:
    with pytest.raises(UserError, match="ask for the same"):
        Configs.of(GOOD, GOOD)
    found = bisect(lambda options: False)
    assert not found.proved and "does not fail" in found.conclusion
    assert found.journal.tests == {} or all(test.mark is Mark.GOOD for test in found.journal.tests.values())


def test_an_option_that_is_named_by_one_alone_is_off_in_the_other() -> None:
    configs = Configs.of("CONFIG_A=y\nCONFIG_B=3\n", "CONFIG_B=4\nCONFIG_C=m\n")
    assert [str(option) for option in configs.options] == [
        "CONFIG_B: 3 is good, 4 is bad",
        "CONFIG_C: n is good, m is bad",
        "CONFIG_A: y is good, n is bad",
    ]
    assert configs.text("config:0,2") == "# CONFIG_A is not set\nCONFIG_B=4\n# CONFIG_C is not set\n"
    assert configs.named((2, 0)) == "config:0,2" and configs.named((0, 1, 2)) == "config:all"
    assert configs.text("config:all") == configs.text("config:0,1,2")


def test_options_beside_those_of_the_machine_need_not_survive() -> None:
    wanted = kconfig.beside(kconfig.merge({"arch.config": "CONFIG_A=y\n"}), "CONFIG_A=n\nCONFIG_B=y\n")
    assert wanted == {"CONFIG_A": ("y", "arch.config"), "CONFIG_B": ("y", "")}
    assert kconfig.lost(wanted, "CONFIG_A=y\n") == ()
    assert [each.option for each in kconfig.lost(wanted, "CONFIG_B=y\n")] == ["CONFIG_A"]
