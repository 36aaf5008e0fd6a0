"""Nights, one after the other, with runs that are imagined: what a tree's file says is what its kernel does."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import data
from harness.campaign.nightly import night as rooms
from harness.campaign.nightly import regress, trees
from harness.campaign.nightly.file import NightlyFile, load
from harness.campaign.nightly.history import History
from harness.campaign.nightly.night import Ended, Nights
from harness.campaign.nightly.records import CellState, NightState, Trend
from harness.campaign.request import Request
from harness.cli.nightly import hands
from harness.errors import InfraError, UserError
from harness.model import Cell, Change, Outcome, Row, RunResult, Status, Tree, Verdict
from harness.source.git import Git
from tests.unit.source_tree import BASE, Desk, git, write_tree

CODE = "drivers/iommu/sva.c"
SCENARIOS = ("global-first-bind", "global-rebind-keeps-pasid")
FILE = """\
name: iommu
trees:
  one: {{tree: {one}}}
  two: {{tree: {two}}}
targets: [x86_64-vtd, arm64-smmuv3]
scenarios: [global-first-bind, global-rebind-keeps-pasid]
{more}
"""


@dataclasses.dataclass
class Sky:
    """Two trees, a history, and the nights over them."""

    desk: Desk
    folder: Path
    ran: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # tree, target
    bisected: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # good, bad
    stop: Callable[[Request], None] = lambda _: None
    coin: Callable[[], bool] = lambda: True

    def change(self, tree: str, words: str) -> str:
        repo = self.folder / tree
        (repo / CODE).write_text(f"// {words}\n")
        git(repo, "commit", "-q", "-a", "--allow-empty", "-m", words or "nothing")
        return git(repo, "rev-parse", "HEAD").strip()

    def night(self, more: str = "") -> Ended:
        with History(self.folder / "history.sqlite") as history:
            return self.nights(more, history).run()

    def nights(self, more: str, history: History) -> Nights:
        file = self.file(more)
        lent = dataclasses.replace(hands(file), report=lambda *_: None)
        return Nights(file, history, self.folder / "runs", self.desk.cache, self.desk.ui, lent)

    def file(self, more: str = "") -> NightlyFile:
        file = self.folder / "nightly.yaml"
        file.write_text(FILE.format(one=self.folder / "one", two=self.folder / "two", more=more))
        return load(file)

    def history(self) -> History:
        return History(self.folder / "history.sqlite")


@pytest.fixture
def sky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sky:
    sky = Sky(Desk.at(tmp_path), tmp_path)
    for name in ("one", "two"):
        write_tree(tmp_path / name, BASE)
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "base")):
            git(tmp_path / name, *words)

    class Imagined:
        """Stands in for Validation."""

        def __init__(self, request: Request, folder: Path, *_: Any) -> None:
            self.request, self.folder = request, folder

        def run(self) -> RunResult:
            request = self.request
            sky.ran.append((Path(request.tree).name, request.targets[0].name))
            sky.stop(request)
            repo = next(iter(sky.desk.cache.room("trees").glob("git-*.git")), None)
            assert repo is not None
            mirrors = sky.desk.cache.room("trees").glob("git-*.git")
            texts = (Git(sky.desk.door, mirror).blob(f"{request.base}:{CODE}") for mirror in mirrors)
            text = next(filter(None, texts), b"").decode()
            rows = tuple(self._row(name, text) for name in [scenario.id for scenario in request.scenarios])
            verdict = Verdict.FAIL if any(row.base and row.base.status is Status.FAIL for row in rows) else Verdict.PASS
            cell = Cell(request.targets[0].name, verdict, (), "tcg", rows)
            tree = Tree(request.tree, repo, request.base or "", "", "7.3.4", "linux-7.3")
            return RunResult(self.folder, verdict, (), tree, None, "sva", "serial", (cell,), ())

        def _row(self, name: str, text: str) -> Row:
            fails = f"FAILS {name}" in text or (f"FLAKY {name}" in text and sky.coin())
            outcome = Outcome(name, Status.FAIL if fails else Status.PASS, "EBUSY" if fails else "", 1.0)
            return Row(name, "", self.request.targets[0].name, "base", outcome, None, Change.BASE_ONLY)

    monkeypatch.setattr(rooms, "Validation", Imagined)

    def bisect(self: regress.Regressions, cell: Any, planned: Any, result: Any, good: Any) -> None:
        sky.bisected.append((good.commit, cell.commit))

    monkeypatch.setattr(regress.Regressions, "_bisect", bisect)
    return sky


def states(ended: Ended) -> list[CellState]:
    return [cell.state for cell in ended.cells]


def test_the_second_night_runs_only_what_changed(sky: Sky) -> None:
    first = sky.night()
    assert states(first) == [CellState.DONE] * 4 and first.status == 0
    sky.ran.clear()
    again = sky.night()
    assert states(again) == [CellState.UNCHANGED] * 4 and sky.ran == [] and again.status == 0
    sky.change("two", "another")
    third = sky.night()
    assert {tree for tree, _ in sky.ran} == {"two"} and len(sky.ran) == 2
    assert sorted(states(third)) == [CellState.DONE] * 2 + [CellState.UNCHANGED] * 2


def test_a_regression_is_retried_bisected_and_told_once(sky: Sky) -> None:
    sky.night()
    good = git(sky.folder / "one", "rev-parse", "HEAD").strip()
    bad = sky.change("one", f"FAILS {SCENARIOS[0]}")
    sky.ran.clear()
    ended = sky.night()
    assert ended.status == 1
    assert [(cell.place.target, result.scenario) for cell, result in ended.failures] == [
        (cell.place.target, SCENARIOS[0]) for cell in ended.cells if cell.place.tree == "one"
    ]
    assert sky.bisected == [(good, bad)] * 2
    assert len(sky.ran) == 2 * 3, "each of two targets, and two more tries"
    with sky.history() as history:
        trends = {(v.place.tree, v.scenario): v.trend for v in history.verdicts("iommu")}
    assert trends["one", SCENARIOS[0]] is Trend.NEW_FAILURE and trends["one", SCENARIOS[1]] is Trend.PASSING
    sky.change("one", f"FAILS {SCENARIOS[0]} still")
    later = sky.night()
    assert later.failures == () and later.status == 0, "it is known by now"


def test_what_passes_when_tried_again_is_flaky_and_not_bisected(sky: Sky) -> None:
    sky.night()
    sky.change("one", f"FLAKY {SCENARIOS[0]}")
    coins = iter([True, False, True] * 9)
    sky.coin = lambda: next(coins)
    ended = sky.night()
    assert ended.failures == () and sky.bisected == []
    with sky.history() as history:
        verdict = next(v for v in history.verdicts("iommu") if (v.place.tree, v.scenario) == ("one", SCENARIOS[0]))
        assert verdict.trend is Trend.FLAKY and 0 < verdict.rate < 1
        assert "pass" in verdict.last.tries and "fail" in verdict.last.tries


def test_a_quarantine_hides_a_failure_until_its_day(sky: Sky) -> None:
    sky.night()
    sky.change("one", f"FAILS {SCENARIOS[0]}")
    today = datetime.date.today()
    more = "quarantine: [{{scenario: 'global-*', reason: known, until: {day}}}]"
    ended = sky.night(more.format(day=today))
    assert ended.failures == () and ended.status == 0
    with sky.history() as history:
        (cell,) = [each for each in ended.cells if (each.place.tree, each.place.target) == ("one", "x86_64-vtd")]
        result = next(each for each in history.results(cell) if each.scenario == SCENARIOS[0])
        assert result.quarantined.startswith("known") and result.status == "fail"
    later = sky.night(more.format(day=today - datetime.timedelta(1)))
    assert any("ended on" in problem for problem in later.problems)


def test_a_cell_that_cannot_be_run_costs_no_other(sky: Sky) -> None:
    def stop(request: Request) -> None:
        if request.targets[0].name == "arm64-smmuv3":
            raise InfraError("no QEMU for it", "build one")

    sky.stop = stop
    (sky.folder / "two" / "Makefile").unlink()
    git(sky.folder / "two", "commit", "-q", "-a", "-m", "no kernel")
    ended = sky.night()
    told = {(cell.place.tree, cell.place.target): (cell.state, cell.reason) for cell in ended.cells}
    assert told["one", "x86_64-vtd"][0] is CellState.DONE
    assert told["one", "arm64-smmuv3"] == (CellState.FAILED, "no QEMU for it")
    assert told["two", "x86_64-vtd"][0] is CellState.FAILED and "is not a Linux" in told["two", "x86_64-vtd"][1]
    assert ended.status == 3


def test_a_plan_says_which_cells_the_file_makes_impossible(sky: Sky) -> None:
    more = "channel: ssh\nflavours: [base, small]"
    with sky.history() as history:
        told = {(each.place.tree, each.place.flavour): each.problem for each in sky.nights(more, history).plan()}
    assert told["one", "base"] == ""
    assert "--channel ssh needs CONFIG_" in told["one", "small"] and "has CONFIG_" in told["two", "small"]
    assert {cell.state for cell in sky.night(more).cells if cell.place.flavour == "small"} == {CellState.FAILED}
    assert len(sky.ran) == 4


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_night_that_is_killed_goes_on(sky: Sky, moment: int) -> None:
    class Killed(BaseException):
        pass

    def stop(_: Request) -> None:
        if len(sky.ran) == moment:
            raise Killed

    sky.stop = stop
    with pytest.raises(Killed):
        sky.night()
    with sky.history() as history:
        (cut,) = history.nights()
        assert cut.state is NightState.RUNNING and history.check() == []
    sky.stop = lambda _: None
    ended = sky.night()
    assert states(ended) == [CellState.DONE] * 4
    assert len(sky.ran) == 4 + 1, "what was under way is done again, and nothing else"
    with sky.history() as history:
        assert [night.state for night in history.nights()] == [NightState.DONE] and history.check() == []


def test_a_budget_drops_what_is_worth_least_and_says_so(sky: Sky) -> None:
    ended = sky.night("budget: 60min")
    assert sorted(states(ended)) == [CellState.DONE] * 2 + [CellState.DROPPED] * 2, (
        "a cell is guessed to take half an hour"
    )
    dropped = [cell for cell in ended.cells if cell.state is CellState.DROPPED]
    assert all("worth more" in cell.reason for cell in dropped)
    ended = sky.night("budget: 60min")
    assert sorted(states(ended)) == [CellState.DONE] * 2 + [CellState.UNCHANGED] * 2, "they have their turn"


@pytest.mark.parametrize(
    "text, told",
    [
        ("name: x\ntrees: {}\n", "nightly.yaml:2: trees"),
        ("name: x\ntrees: {a: {tree: b, brunch: c}}\n", "nightly.yaml:2: trees.a.brunch"),
        ("name: x\ntrees: {a: {tree: b}}\nbudget: 5 hours\n", "nightly.yaml:3: budget: .*90min, 6h or 60d"),
        ("name: x\ntrees: {a: {tree: b}}\nseries:\n  s: {series: m, trees: [c]}\n", "there is no tree 'c'"),
        ("name: x\ntrees: {a: {tree: 'debian:7.3', branch: b}}\n", "has no branches"),
        ("name: x\ntrees: {a: {tree: b}}\nout: {webhook: {url: 'ftp://h'}}\n", "nightly.yaml:3: out.webhook.url"),
        ("name: x\ntrees: {a: {tree: b}}\nquarantine:\n  - {scenario: a, reason: b}\n", "nightly.yaml:4: .*until"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "nightly.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=told):
        load(file)


def test_a_series_is_applied_to_the_trees_it_names(sky: Sky) -> None:
    from harness.campaign.nightly.plan import matrix

    file = sky.file("series:\n  v2: {series: [a.mbox], trees: [one]}\n  v3: {series: b.mbox}\nflavours: [base, kasan]")
    places = [place for place, _ in matrix(file)]
    assert len(places) == len(set(places)) == (2 + 1) * 2 * 2
    assert {(place.tree, place.series) for place in places} == {("one", "v2"), ("one", "v3"), ("two", "v3")}


def test_only_the_time_of_a_tree_or_series_makes_it_run(sky: Sky) -> None:
    """Everything else that decides a result is in the key of its cell."""

    def keys(more: str = "") -> Sequence[str]:
        with sky.history() as history:
            return [planned.key for planned in sky.nights(more, history).plan()]

    before = keys()
    assert len(set(before)) == 2 and keys() == before, "the two trees are equal"
    for more in ("channel: ssh", "expect: {multi_pasid: true}", "flavours: [kasan]"):
        assert not set(keys(more)) & set(before), more


def test_other_words_on_a_flavours_command_line_make_it_run(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no part of the kernel: its configuration stays as it was."""
    copied, folder = sky.folder / "kernel-configs", data.folder
    shutil.copytree(folder("kernel-configs"), copied)
    monkeypatch.setattr(data, "folder", lambda name: copied if name == copied.name else folder(name))

    def keys() -> set[str]:
        with sky.history() as history:
            return {planned.key for planned in sky.nights("flavours: [passthrough]", history).plan()}

    before = keys()
    assert keys() == before
    (copied / "flavour-passthrough.cmdline").write_text("iommu.passthrough=0\n")
    assert not keys() & before


def test_a_remote_is_cloned_and_followed(sky: Sky) -> None:
    remote = sky.folder / "one"
    git(remote, "checkout", "-q", "-b", "next")
    more = "targets: [x86_64-vtd]"
    text = f"name: n\ntrees: {{r: {{tree: clone.git, remote: '{remote}', branch: next}}}}\n{more}\n"
    file = sky.folder / "remote.yaml"
    file.write_text(text)
    wanted = load(file)
    for words in ("", "another"):
        head = sky.change("one", words) if words else git(remote, "rev-parse", "HEAD").strip()
        found = trees.resolve(wanted, sky.desk.cache, sky.desk.door, sky.desk.ui)["r"]
        assert isinstance(found, Tree) and found.commit == head
    remote.rename(sky.folder / "away")
    gone = trees.resolve(wanted, sky.desk.cache, sky.desk.door, sky.desk.ui)["r"]
    assert isinstance(gone, InfraError) and "cannot be fetched" in gone.message


def test_a_cell_longer_than_a_night_is_tried_all_the_same(sky: Sky) -> None:
    ended = sky.night("budget: 5min")
    assert sorted(states(ended)) == [CellState.DONE, *[CellState.DROPPED] * 3]


def test_the_example_is_a_file() -> None:
    from harness.campaign.nightly.plan import matrix

    file = load(Path(__file__).parents[2] / "examples/nightly.yaml")
    assert len(matrix(file)) == 2 * 2 * 2
    assert file.budget == 8 * 3600 and Path(file.series["own-pasid"].series[0]).is_file()
