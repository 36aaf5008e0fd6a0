"""What survives of a bisection, and what git makes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.campaign.bisect.journal import NAME, Ends, Finding, Journal, Trial, events, git_log, read_git_log
from harness.campaign.bisect.signature import Mark, Signature
from harness.errors import UserError
from harness.model import Splat, SplatKind
from tests.unit.source_tree import git

SIGNATURE = Signature("crash", splat=Splat(SplatKind.OOPS, "Oops in f", ("f", "g"), (), 0))


def filled(folder: Path) -> Journal:
    journal = Journal(folder, write=True)
    journal.begin({"arguments": {"scenario": ["x"]}})
    journal.set_ends(Ends("a" * 40, "d" * 40, "a" * 40))
    journal.lock(SIGNATURE)
    journal.test(Trial("d" * 40, Mark.BAD, "Oops", shown=2, identity="i", built=True, seconds=9.5))
    journal.test(Trial("b" * 40, Mark.GOOD, "", hidden=1))
    journal.test(Trial("b" * 40, Mark.BAD, "Oops", shown=1, hidden=1))
    journal.test(Trial("c" * 40, Mark.SKIP, "does not build: error"))
    journal.test(Trial(f"revert:{'b' * 40}", Mark.GOOD, "", hidden=2))
    journal.find(Finding("the commit fails", True, "2 of 2 runs"))
    return journal


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    before = filled(tmp_path)
    before.spent(12.0, over=False)
    after = Journal(tmp_path)
    for name in ("request", "ends", "signature", "tests", "order", "findings", "seconds", "over"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.seconds == 12 and not after.over
    after = Journal(tmp_path, write=True)
    after.spent(3.0, over=True)
    assert Journal(tmp_path).over and Journal(tmp_path).seconds == 15


def test_runs_on_one_commit_add_up_and_the_symptom_stays(tmp_path: Path) -> None:
    test = filled(tmp_path).tests["b" * 40]
    assert (test.mark, test.shown, test.hidden, test.reason) == (Mark.BAD, 1, 2, "Oops")


def test_at_whatever_byte_a_crash_cuts_the_journal_whole_events_are_left(tmp_path: Path) -> None:
    filled(tmp_path)
    file = tmp_path / NAME
    raw = file.read_bytes()
    ends = [at for at, byte in enumerate(raw) if byte == 10]
    for at in range(0, len(raw), 7):
        file.write_bytes(raw[:at])
        assert len(events(file)) == sum(end < at for end in ends)
        assert file.read_bytes() == raw[:at], "who only looks changes nothing"
        journal = Journal(tmp_path, write=True)
        journal.test(Trial("e" * 40, Mark.GOOD, "", hidden=1))
        assert Journal(tmp_path).tests["e" * 40].mark is Mark.GOOD, "it can be written on"


def test_a_journal_that_is_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_text('{"event": "begin", "version": 99, "request": {}}\n')
    with pytest.raises(UserError, match="another version"):
        Journal(tmp_path)
    file.write_text('{"event": "pause", "seconds": 1}\nnothing\n{"event": "pause", "seconds": 1}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        Journal(tmp_path)


@pytest.mark.parametrize("mends", [False, True])
def test_the_log_is_one_that_git_bisect_replays(tmp_path: Path, mends: bool) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    names = []
    for number in range(8):
        git(repo, "commit", "-q", "--allow-empty", "-m", f"step {number}")
        names.append(git(repo, "rev-parse", "HEAD").strip())
    journal = Journal(tmp_path, write=True)
    # The fifth is the one.
    for at in (0, 7, 4, 3):
        having = (at >= 4) != mends
        journal.test(Trial(names[at], Mark.BAD if having else Mark.GOOD, "", int(having), int(not having)))
    journal.test(Trial(names[5], Mark.SKIP, "does not build: a 'quoted'\nword"))
    subjects = dict(zip(names, (f"step {number}" for number in range(8)), strict=True))
    text = git_log(journal, subjects, mends=mends, culprit=names[4])
    (tmp_path / "log").write_text(text)
    said = subprocess.run(
        ["git", "-C", repo, "bisect", "replay", tmp_path / "log"], capture_output=True, text=True, check=True
    )
    word = "fixed" if mends else "bad"
    assert f"{names[4]} is the first {word} commit" in said.stdout
    assert f"# first {word} commit: [{names[4]}] step 4" in text
    marks = {name: test.mark for name, test in journal.tests.items()}
    assert read_git_log(text, mends=mends) == marks
    assert read_git_log(git(repo, "bisect", "log"), mends=mends) == marks


def test_a_text_that_is_no_log_is_refused() -> None:
    with pytest.raises(UserError, match="no result"):
        read_git_log("git bisect start\n# bad: nothing\n", mends=False)


def test_terms_of_ones_own_are_read() -> None:
    log = "git bisect start '--term-new=slow' '--term-old=fast' 'b' 'a'\ngit bisect fast x\ngit bisect slow y\n"
    assert read_git_log(log, mends=False) == {"x": Mark.GOOD, "y": Mark.BAD}
    assert read_git_log(log, mends=True) == {"x": Mark.BAD, "y": Mark.GOOD}


def test_what_is_only_believed_gives_way_to_what_is_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path, write=True)
    journal.test(Trial("a", Mark.BAD, "as they say", shown=1, believed=True))
    journal.test(Trial("a", Mark.GOOD, "", hidden=1))
    assert journal.tests["a"] == Trial("a", Mark.GOOD, "", hidden=1)


def test_ends_and_signature_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    journal = Journal(tmp_path, write=True)
    journal.lock(SIGNATURE, Trial("a", Mark.GOOD, "", hidden=2), Trial("b", Mark.BAD, "x", shown=2))
    raw = (tmp_path / NAME).read_bytes()
    assert raw.count(b"\n") == 1
    (tmp_path / NAME).write_bytes(raw[:-9])
    assert Journal(tmp_path).signature is None and Journal(tmp_path).tests == {}
