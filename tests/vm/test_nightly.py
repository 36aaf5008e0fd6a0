"""``kph nightly`` over three nights of the example's matrix: two trees, targets, flavours, and the reference series."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kcidb_io import schema

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Cell, CellState, Night, Result
from tests.vm.bisect.history import Change, add, home, start
from tests.vm.conftest import ALL, ROOT, SERIES, argv, call

slow = pytest.mark.skipif(not ALL, reason="NOT RUN: builds sixteen kernels and more; make vm-all has it")
EXAMPLE = ROOT / "examples/nightly.yaml"
LIMIT = 3 * 3600  # seconds of all nights; with every cache empty on two cores
STAMP = int(time.time())  # of these nights
VERSIONS = ("7.2", "7.3")
SVA, SVM, FORK = "drivers/iommu/iommu-sva.c", "drivers/iommu/intel/svm.c", "kernel/fork.c"
# Pages of a private mapping are no longer made for a device that writes to them.
CULPRIT = Change(
    SVA, "iommu/sva: Ask for a shared page", "access_flags |= VM_WRITE;", "access_flags |= VM_WRITE | VM_SHARED;"
)
BROKEN = "data-untouched-pages"
# Nights are tested here and not the suite: what the series is for, some of its contract, and what will break.
SCENARIOS = ["motive-*", "own-first-bind", "own-overflow*", "global-first-bind", "global-same-handle-twice", BROKEN]


def harmless(number: int, file: str = FORK) -> Change:
    """One that was never built, so that a night has something to do."""
    new = f"unsigned long kph_night_{number} = {STAMP};\n"
    return Change(file, f"{Path(file).stem}: Count night {number}", new=new)


@dataclass(frozen=True)
class Lab:
    """The example's file over two repositories, and where its nights leave what they find."""

    folder: Path
    repos: dict[str, Path]  # by version

    @staticmethod
    def at(folder: Path) -> Lab:
        repos = {version: home() / f"nightly-{version}" for version in VERSIONS}
        for version, repo in repos.items():
            start(repo, f"debian:{version}")
        lab = Lab(folder, repos)
        asked: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
        assert set(asked["trees"]) == {f"linux-{version}" for version in VERSIONS}
        assert len(asked["targets"]) == len(asked["flavours"]) == 2
        asked["trees"] = {f"linux-{version}": {"tree": str(repo)} for version, repo in repos.items()}
        asked["scenarios"] = SCENARIOS
        asked["series"] = {name: {"series": str(SERIES)} for name in asked["series"]}
        asked["out"] = {"site": "site", "kcidb": "kcidb.json", "junit": "junit.xml", "b4": "b4.json"}
        asked["out"]["mail"] = {"to": "list@example.org", "sender": "lab@example.org", "file": "mail"}
        asked["out"]["mail"]["tester"] = "A Lab <lab@example.org>"
        del asked["keep"]  # the cache is the machine's
        lab.file.write_text(yaml.safe_dump(asked))
        return lab

    @property
    def file(self) -> Path:
        return self.folder / "nightly.yaml"

    def words(self, *words: str) -> list[str | Path]:
        files = ("--history", self.folder / "history.sqlite", "--runs", self.folder / "runs")
        return ["nightly", self.file, *files, *words]

    def night(self, *words: str) -> tuple[int, str]:
        done = call(*self.words(*words), limit=LIMIT)
        return done.returncode, done.stdout

    def killed(self, seconds: float) -> None:
        """A night that SIGKILL ends after ``seconds``."""
        child = subprocess.Popen(
            argv(*self.words("--quiet")), cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(1)
        else:
            pytest.fail("the night was over before it could be killed")

    def found(self) -> tuple[Night, list[Cell]]:
        """The last night and its cells; the history is checked."""
        with History(self.folder / "history.sqlite", read_only=True) as history:
            assert history.check() == []
            night = history.nights(limit=1)[0]
            return night, history.cells(night.id)

    def results(self, cell: Cell) -> dict[str, Result]:
        with History(self.folder / "history.sqlite", read_only=True) as history:
            return {result.scenario: result for result in history.results(cell)}

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


@slow
@pytest.mark.timeout(LIMIT + 60)
def test_three_nights_find_a_regression_and_name_its_commit(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)

    status, said = lab.night("--check")
    assert status == 0 and said.count("run, about") == 8

    status, said = lab.night()
    night, cells = lab.found()
    assert status == 0, said
    assert len(cells) == 8 and {(cell.state, cell.verdict) for cell in cells} == {(CellState.DONE, "pass")}
    assert "Tested-by: A Lab <lab@example.org>" in lab.text("mail")

    # The second night: one tree has changed, and the night is killed twice on the way.
    add(lab.repos["7.3"], [harmless(1)])
    for seconds in (5, 25):
        lab.killed(seconds)
        lab.found()
    status, said = lab.night()
    second, cells = lab.found()
    assert status == 0 and second.id == night.id + 1, said
    assert {cell.place.tree for cell in cells if cell.state is CellState.DONE} == {"linux-7.3"}
    assert {cell.place.tree for cell in cells if cell.state is CellState.UNCHANGED} == {"linux-7.2"}
    assert {cell.verdict for cell in cells} == {"pass"}

    # The third: a commit among others breaks something on both targets.
    changes = [harmless(2), harmless(3, SVM), CULPRIT, harmless(4), harmless(5, SVM)]
    culprit = add(lab.repos["7.3"], changes)[changes.index(CULPRIT)]
    status, said = lab.night("--quiet")  # what it tells at the end alone
    third, cells = lab.found()
    assert status == 1 and third.id == second.id + 1, said
    broken = [cell for cell in cells if cell.place.tree == "linux-7.3"]
    assert len(broken) == 4
    with History(tmp_path / "history.sqlite", read_only=True) as history:
        for cell in broken:
            result = lab.results(cell)[BROKEN]
            assert result.status == "fail" and result.tries == ("fail",) * 3
            (bisected,) = history.bisections(cell.id)
            assert bisected.culprit == culprit and bisected.proved, bisected.conclusion
    assert all(cell.state is CellState.UNCHANGED for cell in cells if cell not in broken)

    told = lab.text("mail")
    for text in (said, told):
        assert culprit[:12] in text and CULPRIT.subject in text and BROKEN in text
    assert "4 new failures" in told
    kcidb = json.loads(lab.text("kcidb.json"))
    assert schema.V5_3.is_valid_exactly(kcidb)
    failed = {test["path"] for test in kcidb["tests"] if test["status"] == "FAIL"}
    assert f"kph.sva.{BROKEN}" in failed
    assert any(culprit in json.dumps(test) for test in kcidb["tests"])
    assert culprit in lab.text("junit.xml")
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert any(culprit[:12] in page and CULPRIT.subject in page for page in pages)
    assert not re.search(r"(href|src)=\"https?://", "".join(pages)), "the site needs no other one"
