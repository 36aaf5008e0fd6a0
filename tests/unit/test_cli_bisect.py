"""What ``kph bisect`` and ``kph test-commit`` refuse, and the exit codes that git reads."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from harness.campaign.bisect.journal import NAME, Ends, Journal, Trial
from harness.campaign.bisect.signature import Mark
from harness.cli import bisect, test_commit
from harness.cli.main import main
from tests.unit.source_tree import BASE, git, write_tree

TEST = ["--scenario", "global-first-bind"]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("harness.doctor.require", lambda *_: None)
    folder = tmp_path / "linux"
    write_tree(folder, BASE)
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "base")):
        git(folder, *words)
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    status = main([str(word) for word in words])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    "words, told",
    [
        (["--good", "main", "--bad", "main", *TEST], "--tree is missing"),
        (["--tree", "LINUX", "--bad", "main", *TEST], "--good is missing"),
        (["--tree", "LINUX", "--good", "main", "--bad", "main"], "this needs one scenario"),
        (["--tree", "LINUX", "--good", "main", "--bad", "main", "--scenario", "own-*"], "this needs one scenario"),
        (["--tree", "LINUX", "--good", "main", "--bad", "main", *TEST, "--target", "all"], "one target"),
        (["--tree", "LINUX", "--good", "main", "--bad", "main", *TEST], "contains|the same commit"),
        (["--tree", "LINUX", "--good", "v1", "--bad", "main", *TEST], "'v1' is not a commit"),
        (["--tree", "/", "--good", "main", "--bad", "main", *TEST], "is no git repository"),
        (["--resume", "/no-such-folder"], "holds no bisection"),
        (["--resume"], "there is no unfinished bisection"),
        (["--log"], "there is no bisection"),
        (["--tree", "LINUX", *TEST, "--config-bisect", "/no/good", "/no/bad"], "No such file"),
        (["--tree", "LINUX", "--good", "a", "--bad", "b", *TEST, "--replay", "/no/log"], "No such file"),
    ],
)
def test_what_cannot_be_bisected_is_refused(
    repo: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    status, err = said(capsys, "bisect", *(str(repo) if word == "LINUX" else word for word in words))
    assert status == 2
    assert re.search(told, err), err


def test_a_bisection_that_stops_tells_how_to_go_on(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = repo.parent / "b"
    said(capsys, "bisect", "--tree", repo, "--good", "v1", "--bad", "main", *TEST, "--run-dir", folder)
    status, err = said(capsys, "bisect", "--resume", folder)
    assert status == 2 and f"to go on: kph bisect --resume {folder}" in err
    assert Journal(folder).request["arguments"]["scenario"] == ["global-first-bind"]
    status, err = said(capsys, "bisect", "--log", folder)
    assert status == 2 and "has not ended" in err
    status, err = said(capsys, "bisect", "--tree", repo, "--good", "v1", "--bad", "main", *TEST, "--run-dir", folder)
    assert status == 2 and "is not empty" in err


def test_results_of_another_bisection_are_taken_over(repo: Path, tmp_path: Path) -> None:
    head = git(repo, "rev-parse", "HEAD").strip()
    log = tmp_path / "git.log"
    log.write_text(f"git bisect start\n# good: [{head}] base\ngit bisect good {head}\ngit bisect skip abc\n")
    args = ["--tree", str(repo), "--good", "a", "--bad", "b", *TEST]
    order = bisect._order(_arguments(*args))
    journal = Journal(tmp_path)
    bisect._believe(log, order, journal)
    assert journal.tests[head].mark is Mark.GOOD and journal.tests[head].hidden == 1
    assert journal.tests["abc"].mark is Mark.SKIP
    other = tmp_path / "other"
    other.mkdir()
    before = Journal(other)
    before.begin({"arguments": {"scenario": ["global-first-bind"]}})
    before.set_ends(Ends("a", "b", "a"))
    before.test(Trial("c", Mark.BAD, "EBUSY", shown=1))
    bisect._believe(other / NAME, order, journal)
    assert journal.tests["c"].reason == "EBUSY"
    with pytest.raises(Exception, match="is not the"):
        bisect._believe(other / NAME, bisect._order(_arguments(*args[:-1], "own-first-bind")), journal)


def _arguments(*words: str) -> argparse.Namespace:

    parser = argparse.ArgumentParser()
    bisect.add_arguments(parser)
    return parser.parse_args(words)


def test_errors_of_test_commit_end_a_git_bisect_run(
    repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """git takes 1 to 127 for a bad commit."""
    assert said(capsys, "test-commit", "--tree", repo, "--commit", "v1", *TEST)[0] == 130
    assert said(capsys, "test-commit", "--tree", repo, "--scenario", "no-such")[0] == 130
    with pytest.raises(SystemExit) as end:
        main(["test-commit", "--no-such-option"])
    assert end.value.code == 130
    with pytest.raises(SystemExit) as end:
        main(["test-commit", "--help"])
    assert not end.value.code

    def fault(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr(test_commit, "_test", fault)
    assert said(capsys, "test-commit", "--tree", repo, *TEST)[0] == 131
    with pytest.raises(SystemExit) as end:
        main(["bisect", "--no-such-option"])
    assert end.value.code == 2
