"""kph gc: what goes, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import inuse
from harness.cache import Cache
from harness.campaign import gc
from harness.campaign.gc import Policy
from harness.cli.main import main
from tests.unit.gc_store import Store


def test_what_was_not_used_for_long_goes_and_the_rest_stays(store: Store) -> None:
    rooms_ = (
        "kernels/k",
        "modules/g/m",
        "programs/g/p",
        "libraries/l",
        "agents/a",
        "ssh-roots/s",
        "qemu/q",
        "trees/t.git",
    )
    old = [store.entry(f"{name}-old", 31) for name in rooms_]
    new = [store.entry(f"{name}-new", 29) for name in rooms_]
    old += [store.file("results/old.json", 31), store.file("applied/old", 31), store.file("downloads/old.tar", 31)]
    new += [
        store.file("results/new.json", 29),
        store.file("results/seconds-sva.json", 99),
        store.file("locks/x.lock", 99),
    ]
    new += [store.file("accel/a.json", 99), store.entry("ccache/0", 99), store.entry("stranger", 99)]
    old += [store.run(31), store.run(40, mark="request.json"), store.run(31, "bisections", mark="journal.jsonl")]
    new += [store.run(29)]
    report = store.collect(30)
    assert not any(path.exists() for path in old) and all(path.exists() for path in new)
    assert {each.path for each in report.freed if not each.compressed} == set(old) and not report.kept
    assert all(each.bytes > 0 for each in report.freed)
    assert not list(store.cache.rglob(".gc-*")) and not list(store.state.rglob(".gc-*"))


def test_a_dry_run_says_the_same_and_touches_nothing(store: Store) -> None:
    store.entry("kernels/old", 31)
    store.slot("tree", {"out-a": 50, "out-b": 5})
    store.run(40)
    store.run(3)
    before = {path: path.stat().st_mtime_ns for path in (*store.cache.rglob("*"), *store.state.rglob("*"))}
    told = store.collect(30, dry_run=True)
    for path, moment in before.items():
        assert path.stat().st_mtime_ns == moment, path
    done = store.collect(30)
    assert [(each.path, each.compressed) for each in told.freed] == [
        (each.path, each.compressed) for each in done.freed
    ]
    assert [each.bytes for each in told.freed if not each.compressed] == [
        each.bytes for each in done.freed if not each.compressed
    ]


def test_the_oldest_goes_first_until_the_rest_fits(store: Store) -> None:
    entries = [store.entry(f"kernels/{days:02}", days, 4 << 20) for days in range(1, 9)]
    run = store.run(4.5)
    report = store.collect(gib=18 / 1024)
    assert [path.exists() for path in entries] == [True] * 4 + [False] * 4
    assert run.exists() and report.left is not None and 16 << 20 < report.left < 18 << 20 and not report.over


def test_cache_and_evidence_can_have_bounds_of_their_own(store: Store) -> None:
    old, young = store.entry("kernels/old", 9, 4 << 20), store.entry("kernels/young", 3, 4 << 20)
    runs = [store.run(40), store.run(61)]
    gc.collect(store.cache, store.evidence, Policy(evidence_days=60, cache_gib=6 / 1024))
    assert not old.exists() and young.exists() and [run.exists() for run in runs] == [True, False]


def test_what_cannot_be_made_to_fit_is_said(store: Store) -> None:
    store.entry("ccache/0", 99, 4 << 20)
    fresh = store.entry("kernels/fresh", 0.01)
    report = store.collect(gib=0.001)
    assert report.over and report.left and report.left > 4 << 20 and fresh.exists()
    assert (fresh, "used within the last hour") in report.kept


def test_outputs_of_a_slot_go_one_by_one_and_the_work_tree_with_the_last(store: Store) -> None:
    slot = store.slot("debian-7.3", {"out-x86_64-base": 40, "out-aarch64-base": 5})
    store.collect(30)
    assert not (slot / "out-x86_64-base").exists() and (slot / "out-aarch64-base").exists()
    assert (slot / "work" / "Makefile").exists()
    store.collect(4)
    assert not slot.exists(), "that an output was removed is no use of the slot"


def test_what_killed_builds_left_goes_after_a_day(store: Store) -> None:
    scratch = store.entry("kernels/.key.abcdef", 1.1)
    young = store.entry("kernels/.key.ghijkl", 0.5)
    trash = store.entry("kernels/.gc-1-key", 0)
    apply = store.entry("trees/apply-x", 2)
    store.collect(None)
    assert not scratch.exists() and young.exists() and not trash.exists() and not apply.exists()


def test_links_to_modules_that_are_gone_go_with_them(store: Store) -> None:
    old, new = store.entry("modules/g/old", 31), store.entry("modules/g/new", 1)
    for target in (old, new):
        (target.parent / f"for-{target.name}").symlink_to(target.name)
    store.collect(30)
    assert sorted(path.name for path in old.parent.iterdir()) == ["for-new", "new"]


def test_errors_of_the_run_itself_are_not_those_of_the_cache(store: Store) -> None:
    for error in (FileNotFoundError("x"), BlockingIOError("x"), OSError(28, "full")):
        with pytest.raises(type(error)), inuse.run(store.cache, store.state / "run"):
            raise error
        with pytest.raises(type(error)), inuse.alone(store.state / "run"):
            raise error
    assert not list((store.cache / "in-use").glob("run-*"))


def test_the_command(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    mine = Store(Cache.default().root, tmp_path / "xdg-state" / "kph")
    with inuse.run(mine.cache):
        pass
    old, run = mine.entry("kernels/old", 31), mine.run(2)
    assert main(["gc", "--dry-run"]) == 0 and old.exists()
    assert "1 kernels would be removed" in capsys.readouterr().out
    assert main(["gc", "-v"]) == 0 and not old.exists() and run.exists()
    said = capsys.readouterr().out
    assert f"MiB  {old}" in said and "logs of 1 runs compressed" in said
    mine.entry("kernels/fresh", 0)
    assert main(["gc", "--keep-gib", "0"]) == 1, "what was used a moment ago stays"
    assert "more than the 0 GiB asked for" in capsys.readouterr().out and not run.exists()
    for wrong in ("-1", "nan", "x"):
        with pytest.raises(SystemExit):
            main(["gc", "--keep-days", wrong])
