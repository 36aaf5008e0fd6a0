"""Building a site again: what is written, what stays, what goes."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Cell, Result
from harness.cli.main import main
from harness.errors import UserError
from harness.report.site import Built, build
from harness.report.site.folder import Folder
from harness.report.site.names import slug
from harness.report.site.pages import night
from tests.unit import generated_history as generated
from tests.unit.site_pages import read

SMALL = generated.Shape(nights=5, places=2, scenarios=8)


def made(folder: Path) -> Built:
    with History(folder / "history.sqlite", read_only=True) as history:
        return build(history, folder / "out", refresh=0)


def stamps(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in folder.rglob("*.html")}


def test_nothing_is_written_when_nothing_has_changed(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    first = made(tmp_path)
    before = stamps(tmp_path / "out")
    assert first.written == first.pages
    assert made(tmp_path).written == 0
    assert stamps(tmp_path / "out") == before
    (tmp_path / "out" / "index.html").unlink()
    assert made(tmp_path).written == 1, "what somebody removed is there again"


def test_a_new_night_leaves_the_pages_of_old_ones(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    made(tmp_path)
    before = stamps(tmp_path / "out")
    with History(tmp_path / "history.sqlite") as history:
        new = history.begin("main", "harness-0")
        old = history.cells(1)[0]
        cell = history.add(_like(old, new.id))
        history.update(cell, [_of(result, cell.id) for result in history.results(old)])
        history.end(new.id)
    made(tmp_path)
    after = stamps(tmp_path / "out")
    changed = {name for name in after if after[name] != before.get(name)}
    assert {"index.html", "night/6.html", f"run/{cell.id}.html"} <= changed
    assert "night/5.html" in changed, "it leads to the next one"
    assert not {"night/1.html", "night/4.html", "run/1.html", "run/3.html"} & changed


def test_pages_of_forgotten_nights_go(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    made(tmp_path)
    with History(tmp_path / "history.sqlite") as history:
        assert history.forget("2026-05-05")
        left = {f"night/{each.id}.html" for each in history.nights()}
    made(tmp_path)
    pages = read(tmp_path / "out")
    assert {name for name in pages if name.startswith("night/")} == left
    for name, page in pages.items():
        for link in page.links:
            target = (tmp_path / "out" / name).parent / link.partition("#")[0]
            assert link == "data:," or target.exists(), (name, link)


def test_a_console_outlives_its_evidence(tmp_path: Path) -> None:
    shape = generated.Shape(nights=5, places=2, scenarios=8, evidence=tmp_path / "evidence")
    generated.make(tmp_path / "history.sqlite", shape)
    made(tmp_path)
    consoles = {name for name in stamps(tmp_path / "out") if name.startswith("console/")}
    shutil.rmtree(tmp_path / "evidence")
    made(tmp_path)
    assert consoles and consoles <= stamps(tmp_path / "out").keys()


def test_only_a_folder_of_its_own_is_written_to(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty, and no site of kph"):
        made(tmp_path)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_build_that_was_killed_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    monkeypatch.setattr(Folder, "__exit__", lambda *_: None)  # nothing is written after the pages
    monkeypatch.setattr(night, "pages", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made(tmp_path)
    monkeypatch.undo()
    assert made(tmp_path).pages == 1 + len(stamps(tmp_path / "out"))


def test_an_empty_history_has_a_first_page(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite"):
        pass
    made(tmp_path)
    assert "The history holds no night yet" in (tmp_path / "out" / "index.html").read_text()


def test_nights_of_one_name(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    generated.make(tmp_path / "history.sqlite", generated.Shape(nights=2, places=1, scenarios=8, name="weekly"))
    with History(tmp_path / "history.sqlite", read_only=True) as history:
        both, one = build(history, tmp_path / "both"), build(history, tmp_path / "one", "weekly")
    assert both.site.archive.names == ("weekly", "main")
    assert len(one.site.archive.nights) == 2 and len(one.site.archive.tracks) == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    generated.make(tmp_path / "history.sqlite", SMALL)
    assert main(["site", "--history", str(tmp_path / "history.sqlite"), "--out", str(tmp_path / "new/out")]) == 0
    assert (tmp_path / "new/out/index.html").is_file()
    assert "new/out/index.html" in capsys.readouterr().err
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert main(["site", "--out", str(tmp_path / "none")]) == 2
    assert "there is no history" in capsys.readouterr().err


def test_file_names() -> None:
    names = [slug("a/b"), slug("a-b"), slug("A-b"), slug("a", "b"), slug("ü" * 300), slug("../.."), slug("")]
    assert len(set(names)) == len(names)
    assert slug("global-first-bind") == "global-first-bind"
    for name in names:
        assert "/" not in name and name[:1] not in (".", "-", "") and len(name.encode()) < 100, name


def _like(cell: Cell, night: int) -> Cell:
    return dataclasses.replace(cell, id=0, night=night, key="another", started="2026-05-06T22:30:00.000+00:00")


def _of(result: Result, cell: int) -> Result:
    return dataclasses.replace(result, cell=cell)
