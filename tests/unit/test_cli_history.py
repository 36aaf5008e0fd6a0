"""``kph history``: its tables, its rows for programs, and what --check finds."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.campaign.nightly import history as histories
from harness.campaign.nightly.history import History
from harness.cli import history_tables as tables
from harness.cli.main import main
from harness.report.nightly import mail, webhook
from tests.unit import nights

Kph = Callable[..., tuple[int, str]]


@pytest.fixture
def kph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Kph:
    nights.history(tmp_path)[0].__exit__()

    def call(*words: str) -> tuple[int, str]:
        status = main(["history", "--history", str(tmp_path / "history.sqlite"), *words])
        said = capsys.readouterr()
        return status, said.out + said.err

    return call


def test_the_default_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert histories.default_file() == Path("/state/kph/history.sqlite")


def test_nights_are_listed(kph: Kph) -> None:
    status, text = kph()
    lines = [line.split() for line in text.splitlines()]
    assert status == 0 and lines[0] == ["night", "name", "started", "state", "cells", "pass", "fail", "error", "other"]
    assert lines[3] == ["3", "next", "2026-11-23", "02:00", "done", "8", "3", "3", "0", "2"]
    assert len(lines) == 4 and "no nights yet" in kph("--name", "other")[1]


def test_one_night(kph: Kph) -> None:
    for text in (kph("--night", "3")[1], kph("--night", "0")[1]):
        assert text.startswith("Night 3 of next, 2026-11-23 02:00 UTC, done: 8 cells")
        assert all(title in text for title in ("new failures (1)", "flaky (1)", "fixed (1)", "quarantined (1)"))
        assert "no time was left" in text and "no space left" in text and "\x1b" not in text
    assert kph("--night", "9") == (2, "kph: there is no night 9\n  hint: kph history lists them\n")


def test_a_scenario_over_the_nights(kph: Kph) -> None:
    text = kph("--scenario", "p01-*", "--place", "next + pasid-v3, x86*")[1]
    assert [line.split()[:1] for line in text.splitlines()[2:]] == [["1"], ["2"], ["3"]]
    assert "crash" in text.splitlines()[-1] and text.startswith("p01-own-bind: next + pasid-v3, x86_64-vtd, sva")
    unchanged = kph("--scenario", "motive-one", "--place", "*cleanup*arm64*")[1]
    assert [("unchanged" in line) for line in unchanged.splitlines()[2:]] == [False, True, True]
    assert "no such scenario" in kph("--scenario", "nothing*")[1]


def test_what_is_new_flaky_or_fails(kph: Kph) -> None:
    def first(*words: str) -> list[str]:
        return [line.split()[0] for line in kph(*words)[1].splitlines()[1:] if not line.startswith(" ")]

    assert first("--new") == ["p01-own-bind"] and first("--flaky") == ["race-exit"]
    assert sorted(first("--failing")) == ["g04-twice", "g04-twice", "p01-own-bind", "p01-own-bind"]
    assert sorted(first("--new", "--flaky", "--scenario", "race*")) == ["race-exit"]
    assert "nothing in night 1" in kph("--new", "--night", "1")[1]


def test_export(kph: Kph) -> None:
    rows = json.loads(kph("--export", "json")[1])
    assert all(tuple(row) == tables.COLUMNS for row in rows)
    crash = next(row for row in rows if row["status"] == "crash")
    assert crash["splats"] == [nights.SPLAT] and crash["seconds"] == 1.5 and crash["night"] == 3
    read = list(csv.DictReader(io.StringIO(kph("--export", "csv")[1])))
    assert len(read) == len(rows) and tuple(read[0]) == tables.COLUMNS
    assert "\x1b" not in "".join(row["reason"] for row in read), "shown on a terminal it is obeyed"
    dropped = next(row for row in read if row["cell_state"] == "dropped")
    assert dropped["scenario"] == "" and dropped["reason"] == ""
    only = json.loads(kph("--export", "json", "--scenario", "race*", "--name", "next")[1])
    assert {row["scenario"] for row in only} == {"race-exit"}
    assert json.loads(kph("--export", "json", "--name", "none")[1]) == []


def test_reports(kph: Kph, tmp_path: Path) -> None:
    file = tmp_path / "out" / "kcidb.json"
    status, text = kph("--night", "2", "--report", f"kcidb={file}", "--report", "b4")
    assert status == 0 and json.loads(file.read_text())["builds"] and json.loads(text)
    assert kph("--report", "nothing")[0] == 2


def test_check_finds_nothing_wrong_and_what_is(kph: Kph, tmp_path: Path) -> None:
    status, text = kph("--check")
    assert status == 0 and text.endswith("nothing is wrong\n")
    with sqlite3.connect(tmp_path / "history.sqlite") as data:
        data.execute("UPDATE cell SET state = 'running' WHERE id = 1")
    data.close()
    assert kph("--check") == (1, "night 1 has ended and cell 1 of it is said to run\n")
    file = tmp_path / "history.sqlite"
    raw = bytearray(file.read_bytes())
    raw[4096:12288] = b"\xa5" * 8192
    file.write_bytes(raw)
    status, text = kph("--check")
    assert status == 1 and text
    file.write_bytes(b"this is no data base, but long enough to be read as one" * 100)
    status, text = kph("--check")
    assert status == 1 and "not a database" in text


def test_there_is_no_history_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--history", str(tmp_path / "none")]) == 2
    assert "there is no history" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_forget(kph: Kph, tmp_path: Path) -> None:
    assert kph("--forget", "1")[0] == 0
    with History(tmp_path / "history.sqlite") as history:
        assert not history.check(), "what another night needs is kept, or gone with it"


# --- kph notify, kph b4-check -----------------------------------------------------
def _notify(tmp_path: Path, *words: str) -> int:
    return main(["notify", "--history", str(tmp_path / "history.sqlite"), *words])


def test_notify_sends_and_ends_with_the_status_of_the_night(
    kph: Kph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str, bytes]] = []
    monkeypatch.setattr(webhook, "post", lambda url, text, key, deadline: sent.append((url, text, key.value)))
    monkeypatch.setattr(mail, "send", lambda text, door: sent.append(("mail", text, b"")))
    monkeypatch.setenv("KPH_WEBHOOK_SECRET", "a secret of some length")
    words = ["--mail-to", "a@b.example", "--tester", "T <t@b.example>", "--webhook", "https://x.example/"]
    files = ["--mail-file", str(tmp_path / "mail"), "--kcidb", str(tmp_path / "kcidb.json")]
    more = ["--origin", "lab", "--branch", "next=master", "--url", "next=https://y.example/n.git"]
    assert _notify(tmp_path, *words, *files, *more) == 1
    assert sent[0][0] == "mail" and sent[0][1] == (tmp_path / "mail").read_text() and "To: a@b.example" in sent[0][1]
    assert "\nTested-by: T <t@b.example>\n" in sent[0][1]
    assert sent[1][0] == "https://x.example/" and json.loads(sent[1][1])["night"]["id"] == 3
    assert "lab:" in (tmp_path / "kcidb.json").read_text()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"a secret of some length" not in written
    assert _notify(tmp_path, "--night", "2") == 3, "a cell failed by fault of the host"


@pytest.mark.parametrize(
    "words",
    [
        ["--mail-to", "nobody"],
        ["--webhook", "https://x.example/"],
        ["--webhook", "https://x.example/", "--secret-file", "/nowhere"],
        ["--origin", "Not One"],
        ["--url", "next"],
        ["--night", "99"],
        ["--name", "other"],
    ],
)
def test_notify_refuses_before_it_sends(
    kph: Kph, tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KPH_WEBHOOK_SECRET", raising=False)
    assert _notify(tmp_path, "--mail-file", str(tmp_path / "mail"), *words) == 2
    assert not (tmp_path / "mail").exists()


def test_b4_runs_it_as_a_check_command(kph: Kph, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.cli.main", "b4-check", "--history", str(tmp_path / "history.sqlite")]
    asked = b"Message-ID: <cleanup-v1@mail.example>\nSubject: [PATCH 0/1] Cover of cleanup-v1\n\n"
    done = subprocess.run(command, input=asked, capture_output=True, check=True)
    assert [each["status"] for each in json.loads(done.stdout)] == ["pass", "pass"] and not done.stderr
    done = subprocess.run([*command, "--history", "/nowhere"], input=asked, capture_output=True, check=False)
    assert done.returncode == 2 and not done.stdout, "b4 shows that as a failed check"
