"""A commit as files: one work tree that moves from commit to commit, touching only what differs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfraError
from harness.model import Tree
from harness.proc import Door
from harness.source.git import Git


@dataclass(frozen=True)
class _Laid:
    """What this process laid out in a work tree."""

    commit: str
    index: tuple[int, ...]  # tells the index that says so from that of any other checkout
    untouched: bool = False  # a look after the last make there found nothing else


# By work tree. In memory alone: a file would outlive the process, and what somebody changes there by hand meanwhile.
_laid: dict[Path, _Laid] = {}


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
    laid = _laid.pop(work, None)
    known = laid is not None and laid.untouched and laid.index == _mark(index) and not interrupted
    if not (known and laid and _moved(git, laid.commit, tree.commit)):
        _read_tree(git, tree.commit)
        if interrupted or _strangers(git):
            # Files that the index does not know: written by the checkout that was cut short, or by a build.
            git.run("clean", "-ffdxq", timeout=600)
    busy.unlink()
    _laid[work] = _Laid(tree.commit, _mark(index))


def settle(tree: Tree, work: Path, door: Door) -> None:
    """Look whether ``work`` is still what this process laid out, so that its next checkout need not look.

    For when makes there are over and something else is to be waited for. Another checkout meanwhile, of whatever
    process, makes it of no use and does no harm.
    """
    index = work.with_name(work.name + ".index")
    laid = _laid.get(work)
    if laid is None or laid.commit != tree.commit or laid.index != _mark(index):
        return
    git = Git(door, tree.repo, index=index, work=work)
    if git.run("diff-files", "--quiet", timeout=600, check=False).status or _strangers(git):
        return
    if _laid.get(work) is laid:
        _laid[work] = replace(laid, untouched=True)


def _mark(index: Path) -> tuple[int, ...]:
    # Every checkout replaces the index, if only by one that says the same.
    try:
        facts = index.stat()
    except FileNotFoundError:
        return ()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _moved(git: Git, old: str, new: str) -> bool:
    """Go from ``old`` to ``new`` by what differs between the two; False, with files anyhow, when git refuses."""
    return git.run("read-tree", "-m", "-u", old, new, timeout=1800, check=False).status == 0


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
