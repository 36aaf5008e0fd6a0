"""A bisection from end to end, with kernels that are imagined: what their source says is what they do."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import cast

import jsonschema
import pytest

from harness import schema
from harness.campaign.bisect.journal import NAME, Journal, Trial
from harness.campaign.bisect.order import Found
from harness.campaign.bisect.signature import Mark
from harness.campaign.bisect.tester import short
from harness.errors import InfraError
from harness.report import bisection
from harness.report.bisection import json_
from tests.unit.bisect_stage import (
    CODE,
    CRASHES,
    ELSE,
    FAILS,
    LACKS,
    NO_BOOT,
    NO_BUILD,
    OOPS,
    TEXT,
    Imagined,
    Stage,
)
from tests.unit.source_tree import git


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage.at(tmp_path, monkeypatch)


def held(found: Found) -> list[bool | None]:
    return [finding.held for finding in found.findings]


def typical(stage: Stage, culprit: int = 9, count: int = 16, word: str = FAILS) -> None:
    """Every second commit touches what is built."""
    for number in range(1, count):
        if number % 2 == 0:
            stage.commit(file=TEXT)
        else:
            stage.commit(word if number >= culprit else "")


def test_the_culprit_is_found_and_proved(stage: Stage) -> None:
    typical(stage)
    found = stage.run()
    assert found.culprit and found.culprit.id == stage.commits[9]
    assert found.proved and held(found) == [True, True, None], "later commits touch its lines: it cannot be taken back"
    assert stage.tester and len(set(stage.tester.asked)) <= 2 + 3, "of fifteen commits eight can matter"
    assert "is the first bad commit" in found.conclusion
    assert found.pruned and len(found.pruned.graph.nodes) == 8


def test_taking_it_back_on_the_newer_end_is_part_of_the_proof(stage: Stage) -> None:
    typical(stage, count=6, culprit=99)
    path = stage.repo / CODE
    path.write_text(path.read_text().replace("mutex_lock", "FAILS mutex_lock", 1))
    git(stage.repo, "commit", "-q", "-a", "-m", "the culprit")
    stage.commits.append(git(stage.repo, "rev-parse", "HEAD").strip())
    culprit = stage.commits[-1]
    stage.commit("")
    found = stage.run()
    assert found.culprit and found.culprit.id == culprit and found.proved and held(found) == [True] * 3
    assert any(name.startswith("revert:") for name in found.journal.tests)
    log = bisection.files(found)[bisection.LOG]
    assert "revert" not in log


def test_a_culprit_that_others_name_is_not_proved_when_it_cannot_be_tested(stage: Stage) -> None:
    for number in range(1, 6):
        stage.commit(f"{NO_BUILD} FAILS" if number == 3 else FAILS if number > 3 else "")
    (stage.root / "b").mkdir()
    journal = Journal(stage.root / "b", write=True)
    journal.test(Trial(stage.commits[2], Mark.GOOD, "they say", hidden=1, believed=True))
    journal.test(Trial(stage.commits[3], Mark.BAD, "they say", shown=1, believed=True))
    found = stage.run()
    assert not found.proved


def test_a_change_that_is_taken_back_is_not_built_again(stage: Stage) -> None:
    for _ in range(3):
        stage.commit("")
    middle = stage.commits[-1]
    stage.commit(NO_BOOT)
    git(stage.repo, "revert", "--no-edit", "HEAD")
    stage.commits.append(git(stage.repo, "rev-parse", "HEAD").strip())
    back = stage.commits[-1]
    for _ in range(3):
        stage.commit(FAILS)
    (stage.root / "b").mkdir()
    Journal(stage.root / "b", write=True).test(Trial(middle, Mark.GOOD, "", hidden=1, identity="i", built=True))
    found = stage.run()
    assert found.culprit and found.culprit.id == stage.commits[6] and found.proved
    assert found.journal.tests[back].shared == middle and not found.journal.tests[back].built
    assert stage.tester and back not in stage.tester.asked


def test_a_second_cause_leaves_it_unproved(stage: Stage) -> None:
    path = stage.repo / CODE
    for at in ("mutex_lock", "mutex_unlock"):
        stage.commit("")
        path.write_text(path.read_text().replace(at, f"FAILS {at}", 1))
        git(stage.repo, "commit", "-q", "-a", "-m", f"cause at {at}")
        stage.commits.append(git(stage.repo, "rev-parse", "HEAD").strip())
    found = stage.run()
    assert found.culprit and found.culprit.subject == "cause at mutex_lock"
    assert not found.proved and held(found) == [True, True, False]
    assert "did not hold that the newer end without it passes" in found.conclusion


@pytest.mark.parametrize("word", [NO_BUILD, NO_BOOT, LACKS, ELSE])
def test_commits_that_cannot_be_tested_are_walked_around(stage: Stage, word: str) -> None:
    for number in range(1, 20):
        stage.commit(word if number in (9, 10, 11) else FAILS if number >= 15 else "")
    found = stage.run()
    assert found.culprit and found.culprit.id == stage.commits[15] and found.proved
    skipped = [test for test in found.tests if test.mark in (Mark.SKIP, Mark.UNKNOWN)]
    assert skipped and all(test.reason for test in skipped)


def test_a_culprit_among_them_is_not_proved_and_the_range_is_named(stage: Stage) -> None:
    for number in range(1, 12):
        stage.commit(f"{NO_BUILD} FAILS" if number in (5, 6, 7) else FAILS if number > 7 else "")
    found = stage.run()
    assert found.culprit is None and not found.proved
    assert [commit.id for commit, _ in found.suspects] == stage.commits[5:9]
    assert f"one of 4 commits from {short(stage.commits[5])} to {short(stage.commits[8])}" in found.conclusion
    assert "untested among them are 3: does not build: error: no such thing" in found.conclusion
    mail = bisection.files(found)["regression-mail.txt"]
    jsonschema.Draft202012Validator(schema.load("bisect")).validate(json_.document(found))
    assert f"#regzbot introduced: {stage.commits[4]}..{stage.commits[8]}" in mail
    assert "one of 4 commits" in mail.splitlines()[0]


def test_the_commit_that_mended_it(stage: Stage) -> None:
    stage.commit(FAILS)
    for number in range(2, 12):
        stage.commit("" if number >= 7 else FAILS)
    found = stage.run(good=stage.commits[-1], bad=stage.commits[1], mends=True)
    assert found.culprit and found.culprit.id == stage.commits[7] and found.proved
    assert "mended it" in found.conclusion
    assert "git bisect start '--term-new=fixed' '--term-old=broken'" in bisection.files(found)[bisection.LOG]


def test_another_failure_on_the_way_is_not_the_symptom(stage: Stage) -> None:
    for number in range(1, 12):
        stage.commit(CRASHES if number >= 8 else FAILS if number in (4, 5) else "")
    found = stage.run()
    assert found.culprit and found.culprit.id == stage.commits[8]
    assert found.signature and found.signature.splat and found.signature.splat.title == OOPS.title


@pytest.mark.parametrize(
    "first, last, told",
    [
        ("", "", "does not fail: pass in 10 runs"),
        (FAILS, FAILS, "the good end .* has the failure, too, in . of"),
        (LACKS, FAILS, "the good end .* says nothing of the failure: cannot be tested: no own PASIDs"),
        ("", NO_BUILD, "the bad end .* cannot be tested: does not build"),
        (NO_BUILD, FAILS, "the good end .* says nothing of the failure: does not build"),
    ],
)
def test_ends_that_are_not_what_they_are_said_to_be(stage: Stage, first: str, last: str, told: str) -> None:
    stage.commit(first)
    stage.commit("")
    stage.commit(last)
    found = stage.run(good=stage.commits[1])
    assert not found.proved and found.culprit is None
    assert re.search(told, found.conclusion), found.conclusion
    assert "regression-mail.txt" not in bisection.files(found)


def test_a_failure_that_comes_and_goes_ends_with_its_rate(stage: Stage) -> None:
    typical(stage)
    stage.tester = Imagined(stage.desk, stage.root, random.Random(1), 0.5)
    found = stage.run()
    assert found.culprit is None and "--flaky bisects" in found.conclusion
    assert re.search(r"shows in \d of 10 runs", found.conclusion)


def test_with_flaky_it_is_found_all_the_same(stage: Stage) -> None:
    typical(stage, culprit=11, count=24)
    stage.tester = Imagined(stage.desk, stage.root, random.Random(4), 0.33)
    found = stage.run(flaky=True)
    assert found.culprit and found.culprit.id == stage.commits[11] and found.confidence >= 0.95
    assert "% confidence" in found.conclusion


def test_a_file_that_only_a_middle_kernel_reads_is_seen_when_that_is_built(stage: Stage) -> None:
    """The culprit changes a file that neither end reads: only kernels between them do."""
    stage.commit("")
    stage.commit("READS_TEXT")
    stage.commit("READS_TEXT")
    culprit = stage.commit(file=TEXT)
    stage.commit("READS_TEXT FAILS")  # what the file brings is seen from here on
    stage.commit(FAILS)
    found = stage.run()
    assert found.pruned and culprit in found.pruned.graph.nodes
    again = stage.run()
    assert again.conclusion == found.conclusion and again.pruned and culprit in again.pruned.graph.nodes


def test_a_change_of_what_the_suite_tests_is_suspected_first(stage: Stage) -> None:
    for number in range(1, 33):
        if number != 20:
            stage.commit(file="Kconfig")
        else:
            stage.commit(FAILS)
    found = stage.run()
    assert found.culprit and found.culprit.id == stage.commits[20] and found.proved
    assert stage.tester and len(set(stage.tester.asked)) <= 2 + 4, (
        "by halves it would take five, and the proof one more"
    )


def test_several_commits_at_a_time_come_to_the_same(stage: Stage) -> None:
    typical(stage, count=40, culprit=23)
    one = stage.run("one")
    stage.tester = Imagined(stage.desk, stage.root)
    three = stage.run("three", parallel=3)
    assert one.culprit == three.culprit and three.proved
    assert len(three.tests) > len(one.tests), "more kernels, in fewer turns"


def test_what_one_lane_found_is_kept_when_another_fails(stage: Stage) -> None:
    typical(stage, count=40, culprit=23)
    stage.tester = Imagined(stage.desk, stage.root)
    lock = threading.Barrier(2)

    def stop(name: str) -> None:
        asked = cast(Imagined, stage.tester).asked
        if len(asked) in (3, 4):
            lock.wait(10)
            if name == asked[2]:
                time.sleep(0.5)  # the other lane ends first
                raise InfraError("the disk is full")

    stage.tester.stop = stop
    with pytest.raises(InfraError, match="the disk is full"):
        stage.run("cut", parallel=2)
    assert len(Journal(stage.root / "cut").order) == 3, "both ends, and the lane that came to its end"


def test_a_branch_that_left_before_the_older_end_is_not_taken_for_good(stage: Stage) -> None:
    """What is on it has never been tested: that its parent passes must be seen."""
    fork = stage.commit("FAILS")  # an old bug with the same symptom, mended on the way to the older end
    old = stage.commit("")
    git(stage.repo, "checkout", "-q", "-b", "side", fork)
    text = stage.commit(file=TEXT)
    code = stage.commit("FAILS", file=CODE)
    git(stage.repo, "checkout", "-q", "main")
    git(stage.repo, "merge", "-q", "--no-ff", "-X", "theirs", "-m", "Merge side", "side")
    stage.commits.append(git(stage.repo, "rev-parse", "HEAD").strip())
    stage.commit("FAILS")
    found = stage.run(good=old)
    assert found.pruned and found.pruned.same.get(text) == fork
    assert not found.proved or found.culprit is None or found.culprit.id != code


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_bisection_that_is_killed_goes_on_where_it_was(stage: Stage, moment: int) -> None:
    typical(stage, count=40, culprit=23)
    whole = stage.run("whole")
    assert stage.tester
    total = list(stage.tester.asked)
    stage.tester = Imagined(stage.desk, stage.root)

    def stop(_: str) -> None:
        if len(cast(Imagined, stage.tester).asked) == moment:
            raise InfraError("killed")

    stage.tester.stop = stop
    if moment > len(total):
        pytest.skip(f"it takes {len(total)} tests only")
    with pytest.raises(InfraError, match="killed"):
        stage.run("cut")
    stage.tester.stop = lambda _: None
    again = stage.run("cut")
    assert again.conclusion == whole.conclusion and again.proved
    assert [test.name for test in again.tests] == [test.name for test in whole.tests], "the same path"
    assert len(stage.tester.asked) <= len(total) + 3, "what was under way, and at most the ends once more"
    third = stage.run("cut")
    assert third.conclusion == whole.conclusion and len(third.tests) == len(again.tests), (
        "one that has ended says so again"
    )


def test_what_is_left_behind_is_complete(stage: Stage) -> None:
    typical(stage)
    found = stage.run()
    files = bisection.files(found)
    assert set(files) == {"report.txt", "report.json", "report.html", "git-bisect.log", "regression-mail.txt"}
    document = json.loads(files["report.json"])
    jsonschema.Draft202012Validator(schema.load("bisect")).validate(document)
    assert document["culprit"]["id"] == stage.commits[9] and document["proved"]
    assert [step["mark"] for step in document["steps"]] == [str(test.mark) for test in found.tests]
    assert f"#regzbot introduced: {stage.commits[9]}" in files["regression-mail.txt"]
    assert stage.commits[9] in files["report.html"] and "<svg" in files["report.html"]
    (stage.root / "log").write_text(files["git-bisect.log"])
    said = subprocess.run(
        ["git", "-C", stage.repo, "bisect", "replay", stage.root / "log"], capture_output=True, text=True, check=True
    )
    assert "bisecting" in said.stdout.lower() or stage.commits[9] in said.stdout
    assert (found.folder / NAME).read_text().count('"event": "test"') == len(found.tests) - 2, "the ends come together"
