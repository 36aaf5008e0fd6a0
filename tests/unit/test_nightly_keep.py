"""What the file of the nights asks for is delivered, each alone, and what it keeps is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import inuse
from harness.cache import Cache
from harness.campaign.nightly.file import Keep, Mail, NightlyFile, Out, TreeEntry, Webhook
from harness.campaign.nightly.history import History
from harness.campaign.nightly.keep import keep
from harness.campaign.nightly.night import Ended
from harness.campaign.nightly.records import Night
from harness.cli import main, nightly
from harness.errors import UserError
from harness.proc import Door
from harness.report.nightly import mail, publish, webhook
from tests.unit import nights

Kept = tuple[History, Night]
SECRET = {"KPH_WEBHOOK_SECRET": "a secret of some length"}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    history, night = nights.history(tmp_path)
    with history:
        yield history, night


def _file(wanted: Out) -> NightlyFile:
    trees = {"next": TreeEntry(tree="/t", branch="master", remote="https://git.example/next.git")}
    return NightlyFile(name="next", trees=trees, out=wanted)


def test_all_of_it_is_delivered(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(
        webhook, "post", lambda url, text, key, deadline: sent.append(f"{url} {len(key.value)} {text[:1]}")
    )
    monkeypatch.setattr(mail, "send", lambda text, door: sent.append(text))
    folder = tmp_path / "out"
    letter = Mail(
        to=("a@b.example",), sender="k@b.example", sendmail=True, file=folder / "mail", tester="T <t@b.example>"
    )
    hook = Webhook(url="https://x.example/")
    wanted = Out(
        kcidb=folder / "kcidb", kcidb_origin="lab", junit=folder / "junit", b4=folder / "b4", mail=letter, webhook=hook
    )
    publish.check(_file(wanted), SECRET)
    assert publish.publish(_file(wanted), *kept, Door(), SECRET) == ()
    assert {file.name for file in folder.iterdir()} == {"kcidb", "junit", "b4", "mail"}
    checkout = next(
        each for each in json.loads((folder / "kcidb").read_text())["checkouts"] if each["tree_name"] == "next"
    )
    assert checkout["git_repository_url"] == "https://git.example/next.git" and checkout["id"].startswith("lab:")
    assert checkout["git_repository_branch"] == "master"
    assert sent == [(folder / "mail").read_text(), "https://x.example/ 23 {"]
    assert not any(
        SECRET["KPH_WEBHOOK_SECRET"].encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
    )


def test_one_that_fails_keeps_no_other_from_its_way(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "file").touch()
    letter = Mail(to=("a@b.example",), sender="k@b.example", sendmail=True)
    wanted = Out(kcidb=tmp_path / "file" / "kcidb", junit=tmp_path / "junit", mail=letter)
    problems = publish.publish(_file(wanted), *kept, Door(), {})
    assert len(problems) == 2 and "cannot be written" in problems[0] and "not installed" in problems[1]
    assert (tmp_path / "junit").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        Out(mail=Mail(to=("nobody",), sender="a@b.example", sendmail=True)),
        Out(mail=Mail(to=("a@b.example",), sender="a@b.example")),
        Out(webhook=Webhook(url="https://x.example/", secret_file=Path("/nowhere"))),
        Out(webhook=Webhook(url="http://x.example/")),
    ],
)
def test_what_cannot_work_is_told_before_the_night(wanted: Out) -> None:
    with pytest.raises(UserError):
        publish.check(_file(wanted), SECRET)


def test_the_evidence_of_a_cell_that_was_not_run_again_is_kept(kept: Kept, tmp_path: Path) -> None:
    history, night = kept
    cache, runs = Cache(tmp_path / "cache"), tmp_path / "runs"
    with inuse.run(cache.root):
        pass
    old = time.time() - 99 * 86400
    cells = history.cells(1)
    folders = [Path(cell.folder) for cell in (*cells, *history.cells(3)) if cell.folder]
    reused = Path(next(cell.folder for cell in history.cells(3) if cell.same))
    for number, folder in enumerate(dict.fromkeys(folders)):
        folder.mkdir(exist_ok=True)
        (folder / inuse.MARK).touch()
        place = runs / f"20261101-0200{number:02}-cell"
        if folder == reused:
            mine = next(cell for cell in history.cells(3) if cell.same)
            reused = place
            folder.rename(place)
            _moved(history, mine.id, place)
        else:
            folder.rename(place)
        for each in (place, *place.rglob("*")):
            os.utime(each, (old, old))
    assert keep(Keep.model_validate({"runs": "60d"}), history, night, runs, cache) == ()
    left = [each for each in runs.iterdir() if each.name.endswith("-cell")]
    assert left == [reused]
    assert keep(Keep(), history, night, runs, cache) == ()


def _moved(history: History, number: int, place: Path) -> None:
    cell = history.cell(number)
    assert cell is not None
    history.update(type(cell)(**{**vars(cell), "folder": str(place)}))


def test_a_cache_that_is_not_ours_is_told_and_fails_nothing(kept: Kept, tmp_path: Path) -> None:
    history, night = kept
    (tmp_path / "cache" / "kernels").mkdir(parents=True)
    said = keep(Keep(cache_gib=1), history, night, tmp_path / "runs", Cache(tmp_path / "cache"))
    assert len(said) == 1 and "not known as a cache of kph" in said[0]


@pytest.mark.parametrize("broken", [False, True])
def test_kph_nightly_delivers_what_its_file_asks_for(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: bool
) -> None:
    history, night = kept
    held: list[bool] = []

    class FakeNights:
        def __init__(self, *_: object) -> None:
            pass

        def run(self) -> Ended:
            held.append(any((tmp_path / "cache" / "kph" / "in-use").glob("run-*")))
            return Ended(night, tuple(history.cells(2)[:1]), (), ())

    monkeypatch.setattr(nightly, "Nights", FakeNights)
    monkeypatch.setattr("harness.doctor.require", lambda *_: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "file").touch()
    place = tmp_path / ("file" if broken else "out") / "junit.xml"
    (tmp_path / "nightly.yaml").write_text(f"name: next\ntrees: {{a: {{tree: /t}}}}\nout: {{junit: {place}}}\n")
    words = ["nightly", "-q", str(tmp_path / "nightly.yaml"), "--history", str(tmp_path / "history.sqlite")]
    assert main.main([*words, "--runs", str(tmp_path / "runs")]) == (3 if broken else 0)
    said = capsys.readouterr().out
    assert held == [True] and ("NOTE: JUnit: " in said) == broken
    assert broken or place.read_text().startswith("<testsuites")
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "name: next\ntrees: {a: {tree: /t}}\nout: {mail: {to: nobody, sender: a@b.example, sendmail: true}}\n"
    )
    assert main.main(["nightly", "-q", str(bad)]) == 2 and held == [True], "told before the night"
