"""One commit's test: runs that count are runs that were made."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.bisect import tester as rooms
from harness.campaign.bisect.journal import Trial
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.cell import Prepared
from harness.campaign.request import Request
from harness.campaign.result import SideResult
from harness.campaign.slots import Slots
from harness.errors import InfraError
from harness.machine import target as targets
from harness.model import Kernel, Module, Outcome, Splat, SplatKind, Status, StepResult, Tree
from harness.scenario import load as suites
from tests.unit.source_tree import Desk

SUITE = suites.load_suite("sva")
SCENARIO = SUITE.scenarios[0]
PASS = Outcome("", Status.PASS, "", 1.0)
STEP = StepResult("2", "bind", False, "success", "EIO", 0.1)
FAIL = dataclasses.replace(PASS, status=Status.FAIL, reason="step 2", steps=(STEP,))
FAILS = Signature("fail", "step 2, bind", "EIO")
OOPS = Splat(SplatKind.OOPS, "Oops in f", ("f",), (), 1)


@dataclasses.dataclass
class World:
    """Kernels by the content of their trees, and what each boot gives."""

    boots: Iterator[SideResult]
    images: Callable[[str], str] = lambda content: content
    made: list[tuple[str, int]] = dataclasses.field(default_factory=list)  # content, runs in one machine


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(iter(()))

    class Cell:
        """Stands in for CellRun."""

        def __init__(self, request: Request, *_: Any) -> None:
            self.request = request

        def stored(self, tree: Tree) -> bool:
            return False

        def reads(self, tree: Tree) -> tuple[frozenset[str], frozenset[str]]:
            return frozenset({tree.content}), frozenset()

        def prepare(self, side: str, tree: Tree) -> Prepared:
            if tree.content == "broken":
                failure = Outcome("", Status.FAIL, "does not build: error", 0.0)
                return Prepared(lambda: SideResult((), (), 0, 0.0, "does not build", otherwise=failure))
            image = world.images(tree.content)
            kernel = Kernel("k", Path(), Path(), Path(), Path(), "", 0.0, identity=image)

            def carry_out() -> SideResult:
                world.made.append((tree.content, len(self.request.scenarios)))
                return next(world.boots)

            return Prepared(carry_out, kernel, Module("m", (), "m"))

    monkeypatch.setattr(rooms, "CellRun", Cell)
    return world


def side(*outcomes: Outcome, boot_splats: tuple[Splat, ...] = (), failure: str = "") -> SideResult:
    return SideResult(outcomes, boot_splats, 1, 1.0, failure)


def tree(content: str) -> Tree:
    return Tree("t", Path(), content, content, "7.3", "git")


def made(folder: Path, *, snapshot: bool = False) -> rooms.Tester:
    desk = Desk.at(folder)
    known: dict[str, Any] = {"base": None, "series": (), "behaviours": {}, "channel": "serial", "qemu": None}
    request = Request(
        tree="t",
        targets=(targets.load("x86_64-vtd"),),
        suite=SUITE,
        scenarios=(SCENARIO,),
        patterns=(SCENARIO.id,),
        flavours=("base",),
        accelerator=None,
        snapshot=snapshot,
        **known,
    )
    return rooms.Tester(request, SCENARIO, folder / "b", desk.cache, desk.door, desk.ui, Slots(2))


def test_each_run_has_a_boot_of_its_own(tmp_path: Path, world: World) -> None:
    dead = Outcome("", Status.CRASH, "the kernel dies in boot", 0.0)
    world.boots = iter([side(PASS), side(dead, failure="dies"), side(PASS, boot_splats=(OOPS,)), side(PASS)])
    found = made(tmp_path).raw("a", tree("a"), 4)
    assert world.made == [("a", 1)] * 4
    assert sorted((run.booted, len(run.boot_splats)) for run in found.runs) == [
        (False, 0),
        (True, 0),
        (True, 0),
        (True, 1),
    ]


def test_copies_of_one_guest_share_its_boot(tmp_path: Path, world: World) -> None:
    world.boots = iter([side(PASS, PASS, FAIL)])
    found = made(tmp_path, snapshot=True).raw("a", tree("a"), 3)
    assert world.made == [("a", 3)] and [run.outcome.status for run in found.runs][2] is Status.FAIL


def test_runs_end_with_the_first_that_has_the_symptom(tmp_path: Path, world: World) -> None:
    world.boots = itertools.chain([side(PASS), side(PASS), side(PASS), side(FAIL)], itertools.repeat(side(PASS)))
    test = made(tmp_path).test("a", tree("a"), FAILS, 20)
    assert (test.mark, test.shown, test.hidden) == (Mark.BAD, 1, 3) and len(world.made) == 4


def test_more_runs_on_one_commit_are_made_and_not_counted_again(tmp_path: Path, world: World) -> None:
    world.boots = itertools.repeat(side(PASS))
    tester = made(tmp_path)
    first = tester.test("a", tree("a"), FAILS, 6)
    again = tester.test("a", tree("a"), FAILS, 4, first=6, known={"a": first})
    assert (first.hidden, again.hidden, len(world.made)) == (6, 4, 10) and not again.shared


def test_an_equal_image_shares_what_is_enough(tmp_path: Path, world: World) -> None:
    world.boots = itertools.repeat(side(PASS))
    world.images = lambda content: "same"
    tester = made(tmp_path)
    first = tester.test("a", tree("a"), FAILS, 3)
    count = len(world.made)
    twin = tester.test("b", tree("b"), FAILS, 3, known={"a": first})
    assert (twin.shared, twin.hidden, twin.mark) == ("a", 3, Mark.GOOD) and len(world.made) == count
    more = tester.test("c", tree("c"), FAILS, 5, known={"a": first})
    assert not more.shared and more.hidden == 5, "three runs do not speak for five"
    assert tester.reads.kernel == {"a", "b", "c"}


def test_what_does_not_build_is_skipped_with_the_compilers_word(tmp_path: Path, world: World) -> None:
    test = made(tmp_path).test("a", tree("broken"), FAILS, 3)
    assert (test.mark, test.reason, test.identity) == (Mark.SKIP, "does not build: error", "")


def test_a_fault_of_the_host_is_no_result(tmp_path: Path, world: World) -> None:
    world.boots = iter([side(dataclasses.replace(PASS, status=Status.ERROR, reason="QEMU was ended by SIGABRT"))])
    with pytest.raises(InfraError, match="SIGABRT"):
        made(tmp_path).test("a", tree("a"), FAILS, 1)


def test_a_test_of_before_is_known_by_its_image(tmp_path: Path, world: World) -> None:
    world.boots = itertools.repeat(side(PASS))
    tester = made(tmp_path)
    before = Trial("old", Mark.BAD, "EIO", shown=1, identity="a-m")
    tester.learn(before)
    test = tester.test("a", tree("a"), FAILS, 1, known={"old": before})
    assert (test.mark, test.shared) == (Mark.BAD, "old") and world.made == []
