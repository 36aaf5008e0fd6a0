"""A commit as files: one work tree that moves from commit to commit, touching only what differs."""

from __future__ import annotations

import contextlib
from pathlib import Path

from harness.errors import InfraError
from harness.model import Tree
from harness.proc import Door
from harness.source.git import Git


def checkout(tree: Tree, work: Path, door: Door) -> None:
    """Make the folder ``work`` hold exactly the files of ``tree``.

    Files that are the same keep their times, so an incremental make rebuilds
    only what changed. The index lies beside the folder (``work`` + ``.index``).
    The caller holds the lock of the slot. A checkout that was interrupted is
    completed by the next one. Raises InfraError, also for a folder with
    content that is not ours.
    """
    index = work.with_name(work.name + ".index")
    busy = work.with_name(work.name + ".busy")  # there while a checkout runs
    if work.is_dir() and any(work.iterdir()) and not index.exists() and not busy.exists():
        raise InfraError(f"{work} is not a work tree of ours, and not empty", "choose another folder, or empty it")
    work.mkdir(parents=True, exist_ok=True)
    interrupted = busy.exists()
    busy.touch()
    Path(f"{index}.lock").unlink(missing_ok=True)  # left by a run that was killed
    git = Git(door, tree.repo, index=index, work=work)
    _read_tree(git, tree.commit)
    if interrupted or _strangers(git):
        # Files that the index does not know: written by the checkout that was cut short, or by a build.
        git.run("clean", "-ffdxq", timeout=600)
    busy.unlink()


def _read_tree(git: Git, commit: str) -> None:
    # --reset -u compares every file with the index by lstat, and rewrites those that differ from the commit.
    words = ("read-tree", "--reset", "-u", commit)
    if git.run(*words, timeout=1800, check=False).status == 0:
        return
    if git.index is not None:
        with contextlib.suppress(FileNotFoundError):
            git.index.unlink()  # it may be damaged: without one, every file is written anew
    git.run(*words, timeout=1800)


def _strangers(git: Git) -> bool:
    return bool(git.text("ls-files", "--others", "--directory", "--no-empty-directory", timeout=600).strip())
