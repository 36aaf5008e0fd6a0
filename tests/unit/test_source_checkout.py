"""The work tree: exactly the commit, and only what differs is touched."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import InfraError
from harness.model import Tree
from harness.proc import Door
from harness.source.checkout import checkout, settle
from tests.unit.source_tree import BASE, LINKS, Desk, git, user_repo


@pytest.fixture
def pair(desk: Desk, tmp_path: Path) -> tuple[Tree, Tree]:
    """Base, and the tree with the three patches."""
    repo = user_repo(tmp_path / "linux", patches=3)
    return desk.tree(repo, "base"), desk.tree(repo)


def files(work: Path) -> set[str]:
    return {str(path.relative_to(work)) for path in work.rglob("*") if path.is_symlink() or path.is_file()}


def is_exact(work: Path, tree: Tree) -> bool:
    """Whether ``work`` has the names, kinds and contents of the commit, and nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        git(Path(scratch), f"--git-dir={tree.repo}", "archive", "-o", "all.tar", tree.commit)
        with tarfile.open(Path(scratch) / "all.tar") as archive:
            wanted = {member.name: _kind(archive, member) for member in archive if not member.isdir()}
    have = {}
    for name in files(work):
        path = work / name
        executable = bool(path.lstat().st_mode & 0o100)
        have[name] = ("link", str(path.readlink())) if path.is_symlink() else (executable, path.read_bytes())
    return have == wanted


def _kind(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[object, object]:
    content = archive.extractfile(member) if member.isreg() else None
    return (bool(member.mode & 0o100), content.read()) if content else ("link", member.linkname)


def times(work: Path) -> dict[str, tuple[int, int]]:
    return {name: ((facts := (work / name).lstat()).st_mtime_ns, facts.st_ino) for name in files(work)}


def fresh(work: Path, before: dict[str, tuple[int, int]]) -> set[str]:
    """Files that were written since ``before``."""
    return {name for name, facts in times(work).items() if before.get(name) != facts}


def test_first_checkout_is_exact(desk: Desk, pair: tuple[Tree, Tree], tmp_path: Path) -> None:
    work = tmp_path / "slot" / "work"
    checkout(pair[0], work, desk.door)
    assert files(work) == {*BASE, *LINKS}
    assert (work / "scripts/check.sh").stat().st_mode & 0o100
    assert (work / "scripts/include").readlink() == Path("../include")
    assert is_exact(work, pair[0])


def test_moving_touches_only_what_differs(desk: Desk, pair: tuple[Tree, Tree], tmp_path: Path) -> None:
    base, patched = pair
    work = tmp_path / "work"
    checkout(base, work, desk.door)
    before = times(work)
    checkout(patched, work, desk.door)
    changed = {"drivers/iommu/sva.c", "include/linux/sva.h", "Documentation/sva.rst"}
    assert fresh(work, before) == changed
    before = times(work)
    checkout(patched, work, desk.door)
    assert fresh(work, before) == set()
    before = times(work)
    checkout(base, work, desk.door)
    assert fresh(work, before) == changed - {"include/linux/sva.h"}
    assert is_exact(work, base)


def test_strange_and_changed_files_are_put_right(desk: Desk, pair: tuple[Tree, Tree], tmp_path: Path) -> None:
    work = tmp_path / "work"
    checkout(pair[0], work, desk.door)
    before = times(work)
    (work / ".gitignore").write_text("*\n")
    (work / "drivers/iommu/sva.o").write_text("made")
    (work / "drivers/iommu/sva.c").write_text("changed")
    (work / "Kconfig").unlink()
    (work / "scripts/include").unlink()
    (work / "scripts/include").mkdir()
    (work / "scripts/include/x").write_text("in the way")
    checkout(pair[0], work, desk.door)
    assert is_exact(work, pair[0])
    assert fresh(work, before) == {"drivers/iommu/sva.c", "Kconfig", "scripts/include"}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.sampled_from(sorted(BASE)), max_size=4), lock=st.booleans(), index=st.sampled_from("kcd"))
def test_an_interrupted_checkout_is_completed(
    names: set[str], lock: bool, index: str, desk: Desk, pair: tuple[Tree, Tree], tmp_path: Path
) -> None:
    """Killed at some point: files half written, index kept (k), cut (c) or deleted (d), its lock left."""
    work = tmp_path / "work"
    checkout(pair[1], work, desk.door)
    file = tmp_path / "work.index"
    (tmp_path / "work.busy").touch()
    for name in names:
        (work / name).write_text("half")
    (work / "include/linux/stray.h").write_text("of the other commit")
    if lock:
        (tmp_path / "work.index.lock").write_bytes(b"half")
    if index == "c":
        file.write_bytes(file.read_bytes()[:100])
    elif index == "d":
        file.unlink()
    checkout(pair[0], work, desk.door)
    assert is_exact(work, pair[0])
    assert not (tmp_path / "work.busy").exists()


def test_trees_of_two_repositories_take_turns(desk: Desk, tmp_path: Path) -> None:
    first = desk.tree(user_repo(tmp_path / "one", patches=1))
    second = desk.tree(user_repo(tmp_path / "two", patches=2))
    assert first.repo != second.repo
    work = tmp_path / "work"
    for tree in (first, second, first):
        checkout(tree, work, desk.door)
        assert is_exact(work, tree)


def looked(log: Path) -> bool:
    """Whether the last checkout looked at every file."""
    last = [line for line in log.read_text().splitlines() if " read-tree " in line][-1]
    return " --reset " in last


def test_after_a_look_the_next_checkout_takes_none(pair: tuple[Tree, Tree], tmp_path: Path) -> None:
    base, patched = pair
    work, door = tmp_path / "work", Door(tmp_path / "log")
    changed = {"drivers/iommu/sva.c", "include/linux/sva.h", "Documentation/sva.rst"}
    checkout(base, work, door)
    for tree in (patched, base):
        settle(patched if tree is base else base, work, door)
        before = times(work)
        checkout(tree, work, door)
        assert not looked(tmp_path / "log") and is_exact(work, tree)
        assert fresh(work, before) == changed & files(work)
    checkout(patched, work, door)
    assert looked(tmp_path / "log"), "one look is good for one checkout"


@pytest.mark.parametrize("trace", ["drivers/iommu/sva.o", "Kconfig", "drivers/iommu/sva.c", "scripts/check.sh"])
def test_what_a_build_left_is_seen_by_the_look(pair: tuple[Tree, Tree], tmp_path: Path, trace: str) -> None:
    base, patched = pair
    work, door = tmp_path / "work", Door(tmp_path / "log")
    checkout(base, work, door)
    if trace.endswith(".sh"):
        (work / trace).chmod(0o644)
    else:
        (work / trace).write_text("made")
    settle(base, work, door)
    checkout(patched, work, door)
    assert looked(tmp_path / "log") and is_exact(work, patched)


def test_a_file_changed_after_the_look_is_put_right_where_the_trees_differ(
    pair: tuple[Tree, Tree], tmp_path: Path
) -> None:
    base, patched = pair
    work, door = tmp_path / "work", Door(tmp_path / "log")
    checkout(base, work, door)
    settle(base, work, door)
    (work / "drivers/iommu/sva.c").write_text("changed")
    checkout(patched, work, door)
    assert is_exact(work, patched)


@pytest.mark.parametrize("before", [True, False])
def test_a_checkout_of_another_process_makes_the_look_useless(
    pair: tuple[Tree, Tree], tmp_path: Path, before: bool
) -> None:
    base, patched = pair
    work, door = tmp_path / "work", Door(tmp_path / "log")
    checkout(base, work, door)
    if not before:
        settle(base, work, door)
    program = (
        "import pickle, sys; from pathlib import Path; from harness.proc import Door\n"
        "from harness.source.checkout import checkout\n"
        "checkout(pickle.load(sys.stdin.buffer), Path(sys.argv[1]), Door())"
    )
    subprocess.run([sys.executable, "-c", program, work], input=pickle.dumps(patched), check=True)
    (work / "Kconfig").write_text("what the other's build left")
    if before:
        settle(base, work, door)
    checkout(base, work, door)
    assert looked(tmp_path / "log") and is_exact(work, base)


def test_a_look_is_of_no_use_in_another_repository(desk: Desk, tmp_path: Path) -> None:
    first = desk.tree(user_repo(tmp_path / "one", patches=1))
    second = desk.tree(user_repo(tmp_path / "two", patches=2))
    work = tmp_path / "work"
    checkout(first, work, desk.door)
    settle(first, work, desk.door)
    checkout(second, work, desk.door)
    assert is_exact(work, second)


def test_a_folder_that_is_not_ours_is_refused(desk: Desk, pair: tuple[Tree, Tree], tmp_path: Path) -> None:
    work = tmp_path / "home"
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")
    with pytest.raises(InfraError, match="is not a work tree of ours"):
        checkout(pair[0], work, desk.door)
    assert (work / "thesis.txt").read_text() == "years of work"
    assert files(work) == {"thesis.txt"}
