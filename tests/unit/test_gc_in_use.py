"""kph gc: nothing goes that is in use, or not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import inuse
from harness.campaign import gc
from harness.campaign.gc import Report
from harness.errors import InfraError, UserError
from tests.unit.gc_store import HOLD, LOCK, RUN, Store, aged, elsewhere


def test_what_a_run_has_found_stays_and_the_rest_goes(store: Store) -> None:
    found, other = store.entry("kernels/found", 31), store.entry("kernels/other", 31)
    code = RUN.replace(HOLD, f"assert inuse.mark(Path(sys.argv[1]), Path(sys.argv[3])); {HOLD}")
    with elsewhere(code, store.cache, store.state / "runs" / "20261101-020000-x", found):
        report = store.collect(0, compress=False)
        assert found.exists() and not other.exists()
        assert (found, "in use: a run that goes on may have found it") in report.kept
    aged(found, 31)
    store.collect(0)
    assert not found.exists(), "the run is dead, and holds nothing any more"
    assert not list((store.cache / "in-use").glob("run-*"))


def test_what_a_run_has_made_stays_however_small_the_budget(store: Store) -> None:
    with elsewhere(RUN, store.cache):
        made = store.entry("kernels/made", 0)
        store.collect(0, 0)
        assert made.exists()


def test_the_folder_of_a_run_that_goes_on_stays_as_it_is(store: Store) -> None:
    folder, other = store.run(31), store.run(31)
    with elsewhere(RUN, store.cache, folder):
        aged(folder, 31)  # it writes below, where nobody looks
        report = store.collect(0)
        assert folder.exists() and not other.exists() and (folder, "in use: its run goes on") in report.kept
        assert (folder / "base/boot-1/console.log").exists(), "not compressed under its hands"


def test_evidence_that_a_run_tells_of_stays(store: Store) -> None:
    folder = store.run(31)
    code = RUN.replace(HOLD, f"inuse.mark_run(Path(sys.argv[1]), Path(sys.argv[3])); {HOLD}")
    with elsewhere(code, store.cache, store.state / "runs" / "20261101-020000-x", folder / "base" / "boot-1"):
        store.collect(0)
        assert folder.exists()


@pytest.mark.parametrize(
    ("path", "lock"),
    [
        ("slots/debian-7.3/out-a", "slot-debian-7.3"),
        ("results/abc.json", "results-abc"),
        ("trees/debian-7.3.4-1.git", "trees-debian-7.3.4-1"),
        ("trees/git-abc.git", "trees-git-abc.git"),
        ("qemu/key", "qemu"),
        ("downloads/qemu.tar", "qemu"),
        ("ssh-roots/key", "ssh-root"),
    ],
)
def test_what_is_being_built_under_its_lock_stays(store: Store, path: str, lock: str) -> None:
    entry = store.entry(path, 31)
    if path.startswith("slots"):
        aged(entry.parent, 31)
    with elsewhere(LOCK, store.cache, lock):
        report = store.collect(0)
        assert entry.exists() and any("holds its lock" in why for _, why in report.kept)
    store.collect(0)
    assert not entry.exists()


def test_the_locks_are_those_of_the_builders(tmp_path: Path) -> None:
    """The names above, as the harness takes them."""
    source = "".join(file.read_text() for file in Path(gc.__file__).parents[1].rglob("*.py"))
    wanted = ('f"slot-{tree.lineage}"', 'f"results-{self._key}"', 'f"trees-{name}"', 'f"trees-{entry.name}"')
    for name in (*wanted, 'f"trees-{folder.name}"', '"qemu"', '"ssh-root"'):
        assert f"lock({name}" in source


def test_a_bisection_that_goes_on_stays(store: Store) -> None:
    folder = store.run(31, "bisections", mark="journal.jsonl")
    (folder / ".lock").touch()
    aged(folder, 31)
    code = f"from filelock import FileLock\nwith FileLock(sys.argv[1]):\n    {HOLD}"
    with elsewhere(code, folder / ".lock"):
        assert store.collect(0).kept == [(folder, "in use: a run holds its lock")]
    store.collect(0)
    assert not folder.exists()


def test_a_mark_and_a_removal_do_not_overlap(store: Store) -> None:
    """What mark() has found is there afterwards, while a gc goes by."""
    code = """
print('ready', flush=True)
with inuse.run(Path(sys.argv[1])):
    found = [Path(sys.argv[1], 'kernels', str(number)) for number in range(300)]
    there = [path for path in found if inuse.mark(Path(sys.argv[1]), path)]
    sys.stdin.readline()
    print(len(there), all(path.exists() for path in there), flush=True)
    sys.stdin.read()
"""
    for number in range(300):
        (store.cache / "kernels" / str(number)).mkdir(parents=True)
    aged(store.cache / "kernels", 31)
    with elsewhere(code, store.cache) as child:
        store.collect(30)
        assert child.stdin and child.stdout
        child.stdin.write("\n")
        child.stdin.flush()
        found, whole = child.stdout.readline().split()
        assert whole == "True"
        assert len(list((store.cache / "kernels").iterdir())) >= int(found)


def test_two_at_a_time(store: Store) -> None:
    with elsewhere(LOCK, store.cache, "gc"), pytest.raises(InfraError, match="another kph gc"):
        store.collect(30)


def test_a_folder_that_no_run_has_marked_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", tmp_path / "state")
    entry = store.entry("kernels/old", 31)
    with pytest.raises(UserError, match=r"CACHEDIR\.TAG is missing"):
        store.collect(30)
    (store.cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# of somebody else\n")
    with pytest.raises(UserError):
        store.collect(30)
    assert entry.exists()
    assert Store(tmp_path / "none", tmp_path / "state").collect(30) == Report()


def test_folders_of_evidence_that_are_not_runs_stay(store: Store, tmp_path: Path) -> None:
    notes = store.run(31, name="my-notes", mark="notes.txt")
    named = aged(store.run(31).rename(store.state / "runs" / "keep-this"), 31)
    outside = store.entry("../elsewhere", 31)
    link = store.state / "runs" / "20261101-020000-link"
    link.symlink_to(outside)
    inside = store.cache / "kernels" / "link"
    inside.parent.mkdir()
    inside.symlink_to(outside)
    store.collect(0)
    assert (
        notes.exists() and named.exists() and link.is_symlink() and (outside / "data").exists() and inside.is_symlink()
    )


def test_a_removal_does_not_follow_links_out_of_a_folder(store: Store, tmp_path: Path) -> None:
    outside = store.entry("../elsewhere", 0)
    run = store.run(31)
    (run / "link").symlink_to(outside)
    aged(run, 31)
    store.collect(0)
    assert not run.exists() and (outside / "data").exists()


def test_a_folder_without_permissions_goes(store: Store) -> None:
    run = store.run(31)
    (run / "base").chmod(0o500)
    store.collect(30)
    assert not run.exists()


def test_a_run_cannot_begin_on_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InfraError), inuse.run(file / "cache"):
        pass
