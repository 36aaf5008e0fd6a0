"""The history: whole after a crash, migrated, checked."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.campaign.nightly import history as rooms
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Bisected, Cell, CellState, Night, NightState, Place, Result
from harness.errors import InfraError, UserError

PLACE = Place("mainline", "v2", "x86_64-vtd", "base", "sva")


def add(history: History, night: Night, key: str = "k", place: Place = PLACE, count: int = 3) -> Cell:
    cell = history.add(Cell(0, night.id, place, "spec", "c" * 40, "7.3.4", key, CellState.RUNNING))
    done = dataclasses.replace(cell, state=CellState.DONE, verdict="pass", seconds=9.5)
    history.update(done, [Result(cell.id, f"s{at}", "pass", "pass", "unchanged") for at in range(count)])
    return done


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "deep" / "history.sqlite")


def test_what_is_kept_is_what_was_given(history: History) -> None:
    night = history.begin("iommu", "v1")
    cell = history.add(
        Cell(0, night.id, PLACE, "debian:7.3", "c" * 40, "7.3.4", "key", CellState.RUNNING, started="now")
    )
    assert history.cells(night.id) == [cell]
    done = dataclasses.replace(cell, state=CellState.DONE, verdict="fail", reason="two fail", folder="/runs/1")
    told = Result(
        cell.id, "race-x", "pass", "crash", "regressed", "panic", 1.5, ("oops: f",), "/e", ("crash", "pass"), "known"
    )
    history.update(done, [told])
    assert history.cell(cell.id) == done and history.results(done) == [told]
    assert history.last(PLACE) == [done] and history.last(PLACE, before=night.id) == []
    assert history.measured(PLACE, "key") == done and history.measured(PLACE, "other") is None
    bisected = history.add_bisected(Bisected(0, cell.id, "race-x", "b" * 40, "s", "a", True, "is it", "/b"))
    assert history.bisections(cell.id) == history.bisections() == [bisected]
    history.end(night.id)
    (ended,) = history.nights("iommu")
    assert ended.state is NightState.DONE and ended.ended and history.night(night.id) == ended
    assert history.nights("other") == [] and history.unfinished("iommu") is None


def test_an_unchanged_cell_has_the_results_of_the_earlier_one(history: History) -> None:
    cell = add(history, history.begin("n", "v"))
    later = history.begin("n", "v")
    same = history.add(dataclasses.replace(cell, id=0, night=later.id, state=CellState.UNCHANGED, same=cell.id))
    assert history.results(same) == history.results(cell) != []
    assert [each.id for _, each, _ in history.timeline(PLACE, "s1")] == [cell.id, same.id]
    assert len(history.verdicts("n")) == 3
    assert history.measured(PLACE, "k") == cell
    assert history.forget("9999") == 0, "the first is needed by the second, which runs"
    history.end(later.id)
    while history.forget("9999"):
        assert history.check() == []
    assert history.nights() == []


def test_a_night_that_was_cut_off_is_seen_as_such(history: History) -> None:
    first = history.begin("n", "v")
    assert history.unfinished("n") == first and history.unfinished("m") is None
    second = history.begin("n", "v")
    assert [night.state for night in history.nights()] == [NightState.CUT, NightState.RUNNING]
    assert history.unfinished("n") == second


def test_all_results_of_a_cell_are_kept_or_none(history: History) -> None:
    night = history.begin("n", "v")
    cell = history.add(Cell(0, night.id, PLACE, "s", "c", "7", "k", CellState.RUNNING))
    twice = [Result(cell.id, "same", "", "pass", "base only")] * 2
    with pytest.raises(InfraError, match="UNIQUE"):
        history.update(dataclasses.replace(cell, state=CellState.DONE), twice)
    assert history.cell(cell.id) == cell and history.results(cell) == []
    assert history.nights(), "and it can be used on"


def test_a_kill_at_any_moment_leaves_it_whole(tmp_path: Path) -> None:
    """A process that writes nights without end is killed, again and again."""
    file = tmp_path / "history.sqlite"
    script = (
        "import sys, tests.unit.test_nightly_history as t\n"
        "from pathlib import Path\n"
        "h = t.History(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while True:\n    n = h.begin('n', 'v'); t.add(h, n, count=200); h.end(n.id)\n"
    )
    for number in range(5):
        child = subprocess.Popen([sys.executable, "-c", script, file], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        threading.Event().wait(0.05 + 0.07 * number)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with History(file) as history:
            assert history.check() == []
            done = [cell for night in history.nights() for cell in history.cells(night.id) if cell.state == "done"]
            assert all(len(history.results(cell)) == 200 for cell in done)


def test_a_full_disk_is_said_and_costs_nothing_that_was_kept(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        cell = add(history, history.begin("n", "v"))
        (pages,) = history._db.execute("PRAGMA page_count").fetchone()
        history._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        night = history.begin("n", "v")
        with pytest.raises(InfraError, match="full") as told:
            add(history, night, key="x" * 10, count=5000)
        assert "free some space" in told.value.hint
        assert history.check() == [] and history.results(cell) != []


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"),
    reason="NOT RUN: only root can mount a disk that is small enough to fill",
)
def test_on_a_disk_without_a_byte_it_says_so_and_is_whole(tmp_path: Path) -> None:
    """Where SQLite itself tells of an I/O error."""
    script = f"""
from pathlib import Path
from harness.campaign.nightly.history import History
from harness.errors import InfraError
from tests.unit.test_nightly_history import add
file = Path({str(tmp_path)!r}) / "history.sqlite"
with History(file) as history:
    add(history, history.begin("n", "v"))
filler = file.with_name("filler")
with filler.open("wb", 0) as full:
    try:
        while True:
            full.write(bytes(4096))
    except OSError:
        pass
for read_only in (False, True):
    try:
        History(file, read_only=read_only).begin("n", "v")
        print("NOT FULL")
    except InfraError as error:
        print(error.hint)
filler.unlink()
with History(file) as history:
    print(history.check(), len(history.results(history.cells(1)[0])))
"""
    mounted = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"NOT RUN: this root cannot mount: {done.stderr.strip()}")
    told = "the disk is full: free some space; nothing that was kept is lost"
    assert done.stdout.splitlines() == [told, told, "[] 3"], done.stderr


def test_what_cannot_be_is_found(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        night = history.begin("n", "v")
        cell = add(history, night)
        history.end(night.id)
        assert history.check() == []
        history._db.execute("DELETE FROM result")
        history._db.execute("UPDATE cell SET same = 77")
        assert history.check() == [
            f"cell {cell.id} of night {night.id} has ended and has no result",
            f"cell {cell.id} has the results of cell 77, which there is not",
        ]
        history._db.execute("UPDATE cell SET same = 0, state = 'running'")
        assert history.check() == [f"night {night.id} has ended and cell {cell.id} of it is said to run"]


def test_a_history_of_a_later_kph_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    History(file).__exit__()
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {len(rooms._MIGRATIONS) + 1}")
    with pytest.raises(UserError, match="later kph"):
        History(file)


def test_each_form_is_brought_up_to_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "h.sqlite"
    with History(file) as history:
        add(history, history.begin("n", "v"))
    later = (*rooms._MIGRATIONS, "ALTER TABLE night ADD COLUMN note TEXT NOT NULL DEFAULT '';")
    monkeypatch.setattr(rooms, "_MIGRATIONS", later)
    with History(file) as history:
        assert history._db.execute("SELECT note FROM night").fetchone() == ("",)


def test_a_file_that_is_no_history_is_said(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    file.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InfraError, match="not a database"):
        History(file)
    with pytest.raises(UserError, match="no history"):
        History(tmp_path / "none.sqlite", read_only=True)
