"""``kph bisect`` on real kernels: the culprit, in few builds, also when it is killed on the way."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.vm.bisect import history
from tests.vm.conftest import ALL, ROOT, argv, call

slow = pytest.mark.skipif(not ALL, reason="NOT RUN: builds a dozen kernels one after the other; make vm-all has it")
LATER = (history.FORK, history.SVM, history.FORK, history.SVA)  # two before the commit that mends, two after it
TEST = ("--target", "x86_64-vtd", "--scenario", history.SCENARIO)
# Three that make the kernel take more words for its command line, and four that change nothing here.
NEEDED = ("CONFIG_BOOT_CONFIG", "CONFIG_BOOT_CONFIG_EMBED_FILE", "CONFIG_BOOT_CONFIG_EMBED")
BAD_CONFIG = """\
CONFIG_NULL_TTY=y
CONFIG_BOOT_CONFIG=y
CONFIG_PCI_STUB=y
CONFIG_BOOT_CONFIG_EMBED_FILE="{words}"
CONFIG_DEVMEM=y
CONFIG_BOOT_CONFIG_EMBED=y
CONFIG_XZ_DEC=y
"""


@dataclass(frozen=True)
class Bisected:
    """A bisection that ended."""

    status: int
    said: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found


def bisect(made: history.Made, folder: Path, *words: str | Path, ends: Sequence[int] = (0, -1)) -> Bisected:
    good, bad = (made.commits[at] for at in ends)
    named = ("--tree", made.repo, "--good", good, "--bad", bad, "--run-dir", folder)
    done = call("bisect", *named, *TEST, *words)
    return Bisected(done.returncode, done.stdout, folder)


def make(**layout: Any) -> history.Made:
    """In one place for all tests: its work tree is kept."""
    return history.make(history.home() / "history", history.Layout(**layout))


def test_a_bad_commit_is_found_among_a_few(tmp_path: Path) -> None:
    """Every make test: 12 commits, from before one that does not boot to after the culprit."""
    made = make()
    found = bisect(made, tmp_path / "b", ends=(39, 51))
    assert found.status == 0, found.said
    report = found.report
    assert report["culprit"]["id"] == made.culprit and report["proved"]
    assert report["numbers"]["commits"] == 12 and report["numbers"]["pruned"] == 9
    assert [each["held"] for each in report["proof"]] == [True, True, True]
    assert report["signature"].startswith("fail at step 3, alice: bind device=dma0: EBUSY")
    assert report["numbers"]["builds"] <= 2 + 2


@slow
def test_the_culprit_of_64_commits_takes_five_kernels(tmp_path: Path) -> None:
    made = make()
    found = bisect(made, tmp_path / "b", "--force")
    assert found.status == 0, found.said
    report = found.report
    assert report["culprit"]["id"] == made.culprit and report["proved"]
    assert report["numbers"]["commits"] == 64 and report["numbers"]["pruned"] == 54
    tested = {step["name"] for step in report["steps"]} - {made.commits[0], made.commits[-1]}
    assert len(tested) <= 5, "walk and proof together"
    for what in ("git-bisect.log", "journal.jsonl"):
        again = bisect(made, tmp_path / what, "--replay", found.folder / what)
        assert again.status == 0 and again.report["culprit"]["id"] == made.culprit and again.report["proved"]
        assert {step["name"] for step in again.report["steps"]} <= {step["name"] for step in report["steps"]}
        assert again.report["numbers"]["builds"] == 0


@slow
def test_a_culprit_among_commits_that_do_not_build_is_a_range(tmp_path: Path) -> None:
    made = make(hidden=True)
    found = bisect(made, tmp_path / "b")
    assert found.status == 1, found.said
    report = found.report
    assert report["culprit"] is None
    first, _, third = made.layout.broken
    wanted = [made.commits[number] for number in range(first, third + 2)]
    assert [suspect["id"] for suspect in report["suspects"]] == wanted
    assert "#error" in report["conclusion"] and "does not build" in found.said


@slow
def test_with_a_fixup_that_range_is_searched(tmp_path: Path) -> None:
    made = make(hidden=True)
    mends = made.commits[made.layout.broken[2] + 1]
    fixup = tmp_path / "fixup.patch"
    fixup.write_text(history.git(made.repo, "format-patch", "-1", "--stdout", mends))
    found = bisect(made, tmp_path / "b", "--fixup", fixup)
    assert found.status == 0, found.said
    assert found.report["culprit"]["id"] == made.culprit and found.report["proved"]


@slow
def test_the_commit_that_mends_is_found(tmp_path: Path) -> None:
    made = make()
    mends = history.Change(history.SVA, "iommu/sva: Share a second bind again", history.REFUSED, history.AGAIN)
    counts = [history.Change(file, f"count {at}", new=f"int kph_later_{at};\n") for at, file in enumerate(LATER)]
    later = history.add(made.repo, [*counts[:2], mends, *counts[2:]])
    named = ("--tree", made.repo, "--bad", made.commits[55], "--good", later[-1], "--run-dir", tmp_path / "b")
    done = call("bisect", "--find-fix", *named, *TEST)
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["culprit"]["id"] == later[2] and report["proved"]
    assert "mended it" in report["conclusion"]


@slow
def test_a_failure_that_shows_now_and_then_is_found(tmp_path: Path) -> None:
    made = make(breaks=history.SOMETIMES)
    found = bisect(made, tmp_path / "b", "--flaky")
    assert found.status == 0, found.said
    assert found.report["culprit"]["id"] == made.culprit
    assert found.report["culprit"]["confidence"] >= 0.95


@slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_it_goes_on_to_the_same_culprit(tmp_path: Path, seed: int) -> None:
    made = make(stamp=int(time.time()) % 10**8)  # kernels that were never built: there is something to kill
    folder = tmp_path / "b"
    chance = random.Random(seed)
    good, bad = made.commits[0], made.commits[-1]
    words = ("bisect", "--tree", made.repo, "--good", good, "--bad", bad, "--run-dir", folder, *TEST)
    command = argv(*words)
    for _ in range(6):
        child = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        try:
            child.wait(chance.uniform(2, 40))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(1)
        else:
            break
        command = argv("bisect", "--resume", folder)
    found = call("bisect", "--resume", folder)
    assert found.returncode == 0, found.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["culprit"]["id"] == made.culprit and report["proved"]
    names = [step["name"] for step in report["steps"]]
    assert len(names) <= len(set(names)) + 2, "nothing but the ends is run more than once"


@slow
def test_the_options_that_make_it_fail_together_are_found(tmp_path: Path) -> None:
    good, bad, words = tmp_path / "good.config", tmp_path / "bad.config", tmp_path / "words"
    words.write_text("kernel.rdinit = /nowhere\n")  # and no root to fall back on: a panic
    good.write_text("# CONFIG_XZ_DEC is not set\n")
    bad.write_text(BAD_CONFIG.format(words=words))
    named = ("--tree", "debian:7.3", "--config-bisect", good, bad, "--run-dir", tmp_path / "b")
    done = call("bisect", *named, "--target", "x86_64-vtd", "--scenario", "global-first-bind")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert tuple(option["name"] for option in report["options"]) == NEEDED and report["proved"]
    assert [each["held"] for each in report["proof"]] == [True] * 4


def test_one_commit_in_the_codes_of_git_bisect_run(tmp_path: Path) -> None:
    made = make()
    for number, wanted, told in ((39, 0, "good"), (50, 1, "bad"), (26, 125, "does not build")):
        done = call("test-commit", "--tree", made.repo, "--commit", made.commits[number], "--quiet", *TEST)
        assert done.returncode == wanted and told in done.stdout
    assert call("test-commit", "--tree", tmp_path, *TEST).returncode == 130
    assert call("test-commit", "--no-such-option").returncode == 130
    assert re.search("no scenario", call("test-commit", "--tree", made.repo, "--scenario", "no-such").stdout)
