"""A run of several targets: what is done once, what one target's trouble costs, how many guests run at a time."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.build.make import BuildFailure
from harness.cache import Cache
from harness.campaign import cell, side, validate
from harness.campaign.request import Request
from harness.campaign.result import SideResult
from harness.campaign.validate import Validation
from harness.errors import InfraError, UserError
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.accel import Choice
from harness.machine.target import Target
from harness.model import Change, Kernel, Module, Outcome, Qemu, RunResult, Series, Status, Tree, Verdict
from harness.scenario import load as suites
from harness.ui import Ui

BASE = Tree("debian:7.3", Path("/r"), "c", "base", "7.3.4", "deb")
PATCHED = Tree("debian:7.3", Path("/r"), "d", "patched", "7.3.4", "deb")
SERIES = Series(("x",), "a series", ())


class World:
    """Stands for everything below ``harness.campaign``; written down is what happened in which order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.running = self.most = 0
        self.trouble: dict[str, BaseException] = {}  # "<target> <phase>" -> what it raises
        self.meanwhile: dict[str, Callable[[], object]] = {}  # what -> what is done in it
        self.unread = False  # the series touches nothing that the build reads
        self.same = False  # the series makes the same image
        self.broken: set[str] = set()  # "<target> <side>" that does not build
        self.statuses: dict[str, Status] = {}  # "<target> <side>" -> of every scenario; else pass
        self._lock = threading.Lock()

    def note(self, what: str) -> None:
        with self._lock:
            self.said.append(what)
        self.meanwhile.get(what, lambda: None)()
        if what in self.trouble:
            raise self.trouble[what]

    def source(self, what: str, tree: Tree) -> Tree:
        self.note(what)
        return tree

    def qemu(self, cache: object, door: object, ui: object, folder: object, target: Target) -> Qemu:
        self.note(f"{target.name} qemu")
        return Qemu(Path("/q"), "10.2.2", "k")

    def choose(self, target: Target, *rest: object) -> Choice:
        return Choice(target.accelerators[-1], "tcg")

    def built(self, target: str, tree: Tree, side: str) -> tuple[Kernel, Module] | BuildFailure:
        self.note(f"{target} build {tree.content}")
        if f"{target} {side}" in self.broken:
            return BuildFailure(f"{side} kernel", ("x.c:1: error: no",), Path("/log"))
        folder = Path("/k")
        identity = "same" if self.same else tree.content
        kernel = Kernel(f"k-{tree.content}", folder, folder, folder, folder, "7.3.4", 1.0, identity=identity)
        return kernel, Module("m", ())

    def scenarios(self, target: str, side: str, names: Sequence[str]) -> SideResult:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.02)
        with self._lock:
            self.running -= 1
        self.note(f"{target} run {side}")
        status = self.statuses.get(f"{target} {side}", Status.PASS)
        return SideResult(tuple(Outcome(name, status, "why", 0.1) for name in names), (), 1, 1.0, "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    class FakeWorkshop:
        def __init__(self, recipe: object, arch: str, flavour: str, cache: object, door: object, ui: Any, *_: object):
            self._name = ui._target

        def build(self, tree: Tree, suite: object, side: str) -> tuple[Kernel, Module] | BuildFailure:
            return made.built(self._name, tree, side)

        def stored(self, tree: Tree, suite: object) -> None:
            return None

        def unread(self, base: Tree, patched: Tree, suite: object) -> bool:
            assert {base, patched} == {BASE, PATCHED}
            return made.unread

    class FakeRunner:
        def __init__(self, plan: Any, suite: object, behaviours: object, side: str, *rest: Any):
            self._target, self._side, self._slots = plan.target.name, side, rest[3]

        def run(self, scenarios: Sequence[Any]) -> SideResult:
            with self._slots.busy():
                return self._run(scenarios)

        def _run(self, scenarios: Sequence[Any]) -> SideResult:
            return made.scenarios(self._target, self._side, [each.id for each in scenarios])

    monkeypatch.setattr(cell, "ensure_qemu", made.qemu)
    monkeypatch.setattr(accel, "choose", made.choose)
    monkeypatch.setattr(cell, "Workshop", FakeWorkshop)
    monkeypatch.setattr(side, "SideRunner", FakeRunner)
    monkeypatch.setattr(cell, "ensure_agent", lambda *_: Path("/agent"))
    monkeypatch.setattr(cell, "guest_initrd", lambda *_: Path("/initrd"))
    monkeypatch.setattr(validate, "resolve_tree", lambda *_: made.source("fetch", BASE))
    monkeypatch.setattr(validate, "load_series", lambda *_: SERIES)
    monkeypatch.setattr(validate, "apply_series", lambda *_: made.source("apply", PATCHED))
    monkeypatch.setattr(validate, "ensure_qemu", lambda *_: made.note("ahead"))
    monkeypatch.setattr(validate, "usual", lambda memory: 2)
    return made


Go = Callable[..., RunResult]


@pytest.fixture
def go(world: World, tmp_path: Path) -> Go:
    def run(
        *names: str, force: bool = False, flavours: tuple[str, ...] = ("base",), patched_first: bool = False
    ) -> RunResult:
        known = targets.load("x86_64-vtd")
        suite = suites.load_suite("sva")
        request = Request(
            tree="debian:7.3",
            base=None,
            series=("x",),
            targets=tuple(known.model_copy(update={"name": name}) for name in names),
            suite=suite,
            scenarios=suite.scenarios[:2],
            patterns=(),
            behaviours={},
            flavours=flavours,
            channel="serial",
            accelerator=None,
            qemu=None,
            force=force,
            patched_first=patched_first,
        )
        ui = Ui(Console(file=io.StringIO()), quiet=True)
        return Validation(request, tmp_path, Cache(tmp_path / "cache"), ui).run()

    return run


def test_sources_are_made_once_and_kernels_in_turn(world: World, go: Go, tmp_path: Path) -> None:
    result = go("a", "b", "c")
    assert result.verdict is Verdict.PASS and [each.target for each in result.cells] == ["a", "b", "c"]
    assert (world.said.count("fetch"), world.said.count("apply")) == (1, 1)
    assert [each for each in world.said if "qemu" in each] == ["a qemu", "b qemu", "c qemu"]
    built = [each for each in world.said if "build" in each]
    assert built == [f"{name} build {side}" for name in "abc" for side in ("base", "patched")]
    assert world.most <= 2, "a guest for each CPU, not more"
    assert {phase.target for phase in result.phases} == {"", "a", "b", "c"}
    assert all((tmp_path / name).is_dir() for name in "abc")


def test_each_flavour_has_kernels_of_its_own_and_a_verdict(world: World, go: Go, tmp_path: Path) -> None:
    result = go("a", "b", flavours=("base", "kasan", "lockdep+leak"))
    places = [name + flavour for name in "ab" for flavour in ("", " (kasan)", " (lockdep+leak)")]
    assert result.verdict is Verdict.PASS and [each.place for each in result.cells] == places
    assert [row.flavour for row in result.rows[:6]] == ["base"] * 2 + ["kasan"] * 2 + ["lockdep+leak"] * 2
    assert {phase.target for phase in result.phases} == {"", *places}
    assert all((tmp_path / name).is_dir() for name in ("a", "a-kasan", "b-lockdep-leak"))


def test_the_base_is_not_built_where_the_patched_kernel_is_sound(world: World, go: Go) -> None:
    world.statuses["b patched"] = Status.FAIL
    world.meanwhile["a run patched"] = lambda: time.sleep(0.2)
    result = go("a", "b", "c", patched_first=True)
    built = [each for each in world.said if "build" in each]
    assert built == ["a build patched", "b build patched", "c build patched", "b build base"]
    first, second, third = result.cells
    assert {row.change for row in (*first.rows, *third.rows)} == {Change.PATCHED_ONLY}
    assert {row.change for row in second.rows} == {Change.REGRESSED}
    assert [each.verdict for each in result.cells] == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]


def test_what_is_wrong_with_both_kernels_does_not_count_when_the_patched_one_is_first(world: World, go: Go) -> None:
    world.statuses |= {"a patched": Status.FAIL, "a base": Status.FAIL}
    result = go("a", patched_first=True)
    assert result.verdict is Verdict.PASS and {row.change for row in result.cells[0].rows} == {Change.UNCHANGED}


def test_a_patched_kernel_that_does_not_build_has_the_base_built(world: World, go: Go) -> None:
    world.broken = {"a patched"}
    result = go("a", patched_first=True)
    assert "a build base" in world.said and result.verdict is Verdict.FAIL
    assert any("patched: " in reason for reason in result.reasons)


def test_trouble_with_the_patched_kernel_is_that_targets_only(world: World, go: Go) -> None:
    world.trouble["a run patched"] = InfraError("no luck")
    result = go("a", "b", patched_first=True)
    assert [each.verdict for each in result.cells] == [Verdict.ERROR, Verdict.PASS]
    assert "a build base" in world.said and "b build base" not in world.said


def test_notes_name_the_side_that_was_built_first(world: World, go: Go) -> None:
    world.same, world.statuses["a patched"] = True, Status.FAIL
    result = go("a", patched_first=True)
    assert "base: kernel and module are the patched's, byte for byte" in result.cells[0].notes


def test_qemu_is_built_while_the_sources_are_fetched(world: World, go: Go) -> None:
    begun = threading.Event()
    world.meanwhile = {"fetch": lambda: begun.wait(5), "ahead": begun.set}
    assert go("a").verdict is Verdict.PASS and begun.is_set()
    assert world.said.index("ahead") < world.said.index("a qemu")


def test_without_a_qemu_no_target_gives_evidence(world: World, go: Go) -> None:
    world.trouble["ahead"] = InfraError("it does not build")
    result = go("a", "b")
    assert [each.verdict for each in result.cells] == [Verdict.ERROR] * 2
    assert [reason for reason in result.reasons if "it does not build" in reason]
    assert not [each for each in world.said if "run" in each or "qemu" in each]


def test_a_kernel_is_built_while_qemu_is(world: World, go: Go) -> None:
    built = threading.Event()
    world.meanwhile = {"ahead": lambda: built.wait(5), "a build base": built.set}
    assert go("a").verdict is Verdict.PASS and built.is_set()
    assert world.said.index("a build base") < world.said.index("a qemu") < world.said.index("a run base")


def test_a_tree_that_is_none_is_told_while_qemu_is_built(world: World, go: Go) -> None:
    world.trouble["fetch"] = UserError("no such tree")
    with pytest.raises(UserError, match="no such tree"):
        go("a")


def test_the_only_target_has_the_whole_folder(go: Go, tmp_path: Path) -> None:
    assert go("a").verdict is Verdict.PASS
    assert not (tmp_path / "a").exists() and (tmp_path / "base").is_dir()


@pytest.mark.parametrize("phase", ["b qemu", "b build base", "b build patched", "b run patched"])
@pytest.mark.parametrize("error", [InfraError("no luck", "try again"), UserError("options did not survive")])
def test_trouble_of_one_target_costs_that_target_only(world: World, go: Go, phase: str, error: Exception) -> None:
    world.trouble[phase] = error
    result = go("a", "b", "c")
    assert [each.verdict for each in result.cells] == [Verdict.PASS, Verdict.ERROR, Verdict.PASS]
    assert result.verdict is Verdict.ERROR
    assert any(reason.startswith("b: ") and str(error).splitlines()[0] in reason for reason in result.reasons)
    assert {row.change for row in result.cells[1].rows} == {Change.UNKNOWN}


def test_a_machine_that_cannot_be_had_is_tried_once(world: World, go: Go) -> None:
    world.trouble["b qemu"] = InfraError("no luck")
    rows = go("a", "b").cells[1].rows
    assert world.said.count("b qemu") == 1 and "b build base" not in world.said
    for row in rows:
        for outcome in (row.base, row.patched):
            assert outcome is not None and outcome.evidence is not None and outcome.evidence.is_dir()


@pytest.mark.parametrize("phase", ["a qemu", "a build base", "a run base"])
def test_the_only_target_raises_its_trouble(world: World, go: Go, phase: str) -> None:
    world.trouble[phase] = InfraError("no luck")
    with pytest.raises(InfraError, match="no luck"):
        go("a")
    assert phase == "a run base" or "a build patched" not in world.said


def test_neither_a_failure_nor_an_error_hides_the_other(world: World, go: Go) -> None:
    world.trouble["b qemu"] = InfraError("no luck")
    world.statuses["c patched"] = Status.FAIL
    result = go("a", "b", "c")
    assert result.verdict is Verdict.FAIL
    assert [each.verdict for each in result.cells] == [Verdict.PASS, Verdict.ERROR, Verdict.FAIL]
    assert result.reasons[0].startswith("c: ") and any(reason.startswith("b: ") for reason in result.reasons)


def test_a_kernel_that_does_not_build_fails_its_target(world: World, go: Go) -> None:
    world.broken.add("b patched")
    result = go("a", "b")
    assert result.verdict is Verdict.FAIL
    assert result.reasons[0].startswith("b: patched: patched kernel does not build")
    assert {row.patched and row.patched.status for row in result.cells[1].rows} == {Status.FAIL}


def test_a_run_with_nothing_changed_runs_nothing(world: World, go: Go) -> None:
    first, ran = go("a", "b"), list(world.said)
    again = go("a", "b")
    assert not [each for each in world.said[len(ran) :] if " run " in each]
    assert again.verdict is Verdict.PASS
    for row, before in zip(again.rows, first.rows, strict=True):
        assert row.change is before.change
        for outcome, old in ((row.base, before.base), (row.patched, before.patched)):
            assert outcome and old and outcome.status is old.status and old.earlier is None
            assert outcome.earlier == again.run / row.target
    go("a", "b", force=True)
    runs = [each for each in ran if " run " in each]
    assert sorted(each for each in world.said if " run " in each) == sorted(runs * 2)


def test_a_series_that_touches_nothing_that_is_read_costs_nothing(world: World, go: Go) -> None:
    world.unread = True
    result = go("a")
    assert result.verdict is Verdict.PASS
    assert "a build patched" not in world.said and "a run patched" not in world.said and "a run base" in world.said
    assert {row.change for row in result.rows} == {Change.UNCHANGED}
    assert any("touches no file that the kernel's build reads" in note for note in result.cells[0].notes)
    go("a", force=True)
    assert "a build patched" in world.said


def test_equal_images_share_their_results(world: World, go: Go) -> None:
    world.same = True
    result = go("a")
    assert "a build patched" in world.said
    assert len([each for each in world.said if each.startswith("a run ")]) == 1
    assert any("byte for byte" in note for note in result.cells[0].notes)
    go("a", force=True)
    assert len([each for each in world.said if each.startswith("a run ")]) == 3


def test_an_interruption_ends_the_run(world: World, go: Go) -> None:
    world.trouble["b build base"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        go("a", "b", "c")
    assert "c qemu" not in world.said
