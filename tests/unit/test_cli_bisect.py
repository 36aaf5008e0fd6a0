"""What ``kph bisect`` and ``kph test-commit`` refuse, and the exit codes that git reads."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from harness.campaign.bisect.journal import NAME, Ends, Journal, Trial
from harness.campaign.bisect.signature import Mark, Signature
from harness.cli import bisect, test_commit
from harness.cli.main import main
from harness.errors import UserError
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
        (["--tree", "LINUX", "--good", "main", "--bad", "main", *TEST, "--base", "main"], "--base: of no use without"),
        (["--tree", "LINUX", *TEST, "--config-bisect", "a", "b", "--find-fix"], "--find-fix: of no use with"),
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


def test_what_is_refused_leaves_nothing_to_resume(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = repo.parent / "b"
    words: tuple[str | Path, ...] = (
        "bisect",
        "--tree",
        repo,
        "--good",
        "v1",
        "--bad",
        "main",
        *TEST,
        "--run-dir",
        folder,
    )
    assert said(capsys, *words)[0] == 2
    assert not folder.exists()
    assert "no unfinished bisection" in said(capsys, "bisect", "--resume")[1]


def test_a_bisection_that_stops_tells_how_to_go_on(
    repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repo.parent / "b"
    git(repo, "commit", "-q", "--allow-empty", "-m", "later")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.campaign.bisect.walk.Bisection._run", stop)
    words: tuple[str | Path, ...] = (
        "bisect",
        "--tree",
        repo,
        "--good",
        "main~",
        "--bad",
        "main",
        *TEST,
        "--run-dir",
        folder,
    )
    status, err = said(capsys, *words)
    assert status == 130 and f"to go on: kph bisect --resume {folder}" in err
    status, err = said(capsys, "bisect", "--resume", folder)
    assert status == 130 and "going on after 0 tests" in err
    assert Journal(folder).request["arguments"]["scenario"] == ["global-first-bind"]
    assert said(capsys, "bisect", "--log", folder)[0] == 0
    status, err = said(capsys, *words)
    assert status == 2 and "is not empty" in err


def test_results_of_a_git_log_are_believed(repo: Path, tmp_path: Path) -> None:
    head = git(repo, "rev-parse", "HEAD").strip()
    log = tmp_path / "git.log"
    log.write_text(f"git bisect start\n# good: [{head}] base\ngit bisect good {head}\n")
    args = _arguments("--tree", str(repo), "--good", "a", "--bad", "b", *TEST, "--replay", str(log))
    signature, (test,) = bisect._believed(args)
    assert signature is None
    assert (test.name, test.mark, test.hidden, test.believed) == (head, Mark.GOOD, 1, True)


def test_a_journal_counts_only_where_it_asked_the_same(tmp_path: Path) -> None:
    words = ["--tree", "x", "--good", "a", "--bad", "b", *TEST]
    before = Journal(tmp_path, write=True)
    before.begin({"arguments": bisect._plain(_arguments(*words)), "directory": "/", "configs": []})
    before.set_ends(Ends("a", "b", "a"))
    before.lock(Signature("fail", "step 2"), Trial("c", Mark.BAD, "EBUSY", shown=1, evidence="001-c"))
    words += ["--replay", str(tmp_path / NAME)]
    signature, (test,) = bisect._believed(_arguments(*words))
    assert signature == Signature("fail", "step 2") and test.evidence == str(tmp_path / "001-c")
    for more in (["--target", "arm64-smmuv3"], ["--flavour", "kasan"], ["--find-fix"], ["--splat", "x"]):
        with pytest.raises(UserError, match=f"made with another {more[0]}"):
            bisect._believed(_arguments(*words, *more))
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(UserError, match="neither"):
        bisect._believed(_arguments(*words))


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
