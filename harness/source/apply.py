"""From base and series to the patched tree: commits made through an index, without any work tree."""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cache import Cache, digest, write_whole
from harness.errors import InfraError, UserError
from harness.model import Patch, Series, Tree
from harness.proc import Door
from harness.source.diff import parse
from harness.source.git import Git
from harness.source.guard import link_fault
from harness.source.linux import as_tree
from harness.source.misfit import Misfit, explain

_METHOD = "1"  # raise when the way of applying or the checks change
_HISTORY_SECONDS = 20.0  # how long the search for the series' own base may take


@dataclass(frozen=True)
class _Bench:
    """Where a series is being applied."""

    base: Tree
    series: Series
    git: Git  # with the temporary index
    folder: Path  # scratch


def apply_series(tree: Tree, series: Series, cache: Cache, door: Door) -> Tree:
    """``tree`` with every patch of ``series``: one commit per patch, in the tree's own repository.

    The same base and patches give the same commit ids, whenever and wherever
    they are applied. Raises UserError when a patch does not apply: which
    patch, file and hunk, on which base, and what to try.
    """
    git = Git(door, tree.repo)
    known = [cache.room("applied") / key for key in _keys(tree, series)]
    if cache.used(known[-1]) and git.commit(commit := known[-1].read_text()):
        return as_tree(_spec(tree, series), git, commit, tree.lineage)
    with tempfile.TemporaryDirectory(prefix="apply-", dir=cache.room("trees")) as scratch:
        folder = Path(scratch)
        bench = _Bench(tree, series, Git(door, tree.repo, index=folder / "index"), folder)
        done, commit = _resume(git, tree, known, cache)
        bench.git.run("read-tree", commit)
        content = git.id("rev-parse", f"{commit}^{{tree}}")
        for patch, note in zip(series.patches[done:], known[done:], strict=True):
            _apply(bench, patch)
            after = bench.git.id("write-tree")
            _verify(bench, patch, content, after)
            commit = bench.git.commit_tree(after, commit, patch.subject, patch.author)
            content = after
            write_whole(note, commit.encode())
    return as_tree(_spec(tree, series), git, commit, tree.lineage)


def not_applied(tree: Tree, patches: Sequence[Patch], door: Door) -> tuple[Patch, ...]:
    """Those of ``patches`` that ``tree`` does not have: the others can be taken back, the last one first."""
    missing: list[Patch] = []
    with tempfile.TemporaryDirectory(prefix="kph-applied-") as scratch:
        git = Git(door, tree.repo, index=Path(scratch) / "index")
        git.run("read-tree", tree.commit)
        file = Path(scratch) / "diff"
        for patch in reversed(patches):
            file.write_bytes(patch.diff)
            words = ("apply", "--cached", "--reverse", "--whitespace=nowarn", f"-p{patch.strip}")
            if git.run(*words, file, check=False).status != 0:
                missing.insert(0, patch)
    return tuple(missing)


def _spec(tree: Tree, series: Series) -> str:
    return f"{tree.spec} + {series.title}"


def _keys(tree: Tree, series: Series) -> Iterator[str]:
    """What names the tree after each patch: who edits the last one gets the others for nothing."""
    key = digest(_METHOD, str(tree.repo), tree.commit)
    for patch in series.patches:
        key = digest(key, patch.diff, str(patch.strip), patch.subject, patch.author, *patch.files)
        yield key


def _resume(git: Git, tree: Tree, known: Sequence[Path], cache: Cache) -> tuple[int, str]:
    """How many patches have been applied before, and the commit after the last of them."""
    for number in range(len(known), 0, -1):
        if cache.used(known[number - 1]) and git.commit(commit := known[number - 1].read_text()):
            return number, commit
    return 0, tree.commit


def _apply(bench: _Bench, patch: Patch) -> None:
    file = bench.folder / f"{patch.number}.diff"
    file.write_bytes(patch.diff)
    done = bench.git.run(*_words(patch), file, check=False)
    if done.status == 0:
        return
    misfits = _misfits(bench, patch)
    lines = [line for misfit in misfits for line in misfit.lines()]
    said = [line.strip() for line in done.output.splitlines() if line.startswith(("error:", "fatal:"))]
    base = bench.base
    raise UserError(
        f"patch {patch.number}/{len(bench.series.patches)} {patch.subject!r} ({patch.origin}) does not apply"
        f" on {base.spec} ({base.version}, commit {base.commit[:12]})"
        + (", after the patches before it" if patch.number > 1 else "")
        + ":\n"
        + "\n".join(lines or [f"  git apply: {line}" for line in said]),
        "; ".join(_hints(bench, patch, file, misfits)),
    )


def _words(patch: Patch, *more: str) -> tuple[str, ...]:
    return ("apply", "--cached", "--whitespace=nowarn", f"-p{patch.strip}", *more)


def _misfits(bench: _Bench, patch: Patch) -> list[Misfit]:
    changes = parse(patch.diff, patch.strip)
    found = [explain(change, bench.git.blob(f":{change.old or change.path}")) for change in changes]
    return [misfit for misfit in found if misfit]


# --- what the user could do ---------------------------------------------------
def _hints(bench: _Bench, patch: Patch, file: Path, misfits: list[Misfit]) -> list[str]:
    hints = []
    is_git = bench.base.repo.name.startswith("git-")  # the mirror of a user's repository
    there = _is_there(bench, patch)
    if there:
        hints.append(f"the tree already has {there}: leave it out, or take an older base")
    wanted = bench.series.base_commit
    if wanted and bench.git.commit(wanted) is None:
        hints.append(f"the series was made on commit {wanted[:12]}, which this tree does not have")
    elif wanted and wanted != bench.base.commit:
        hints.append(f"the series was made on this commit: --base {wanted[:12]}")
    if not wanted and not there:
        hints += _from_blobs(bench, patch, misfits, is_git)
    if not there and bench.git.run(*_words(patch, "--check", "-C1"), file, check=False).status == 0:
        hints.append("it would fit with one line of context (git apply -C1): rebase the series on this tree")
    return hints or ["rebase the series on this tree, or give the tree that it was made on"]


def _is_there(bench: _Bench, patch: Patch) -> str:
    """What of the series the base has already (it can be taken back there); empty when nothing."""
    on_base = replace(bench.git, index=bench.folder / "base-index")
    on_base.run("read-tree", bench.base.commit)
    undone = 0
    for other in reversed(bench.series.patches):
        file = bench.folder / f"{other.number}.diff"
        file.write_bytes(other.diff)
        if on_base.run(*_words(other, "-R"), file, check=False).status != 0:
            break
        undone += 1
    if undone == len(bench.series.patches) > 1:
        return "the whole series"
    on_base.run("read-tree", bench.base.commit)
    own = bench.folder / f"{patch.number}.diff"
    return "this change" if on_base.run(*_words(patch, "--check", "-R"), own, check=False).status == 0 else ""


def _from_blobs(bench: _Bench, patch: Patch, misfits: list[Misfit], is_git: bool) -> list[str]:
    """Where the file versions that the patch's index lines name can be found."""
    bad = {misfit.path for misfit in misfits}
    for change in parse(patch.diff, patch.strip):
        if change.old not in bad or not change.old_blob.strip("0"):
            continue
        done = bench.git.run("rev-parse", "--quiet", "--verify", f"{change.old_blob}^{{blob}}", check=False)
        blob = re.search(r"^[0-9a-f]{40,64}$", done.output, re.M)
        if done.status != 0 or blob is None:
            where = "nowhere in this repository" if is_git else "not in this tree"
            return [f"the patch was made on another {change.old} (blob {change.old_blob}), which is {where}"]
        commit = _commit_with(bench, change.old, blob[0])
        if commit:
            return [
                f"the patch was made on another {change.old}, as it was in commit {commit[:12]}: --base {commit[:12]}"
            ]
    return []


def _commit_with(bench: _Bench, path: str, blob: str) -> str:
    """A commit that brought ``path`` to the content ``blob``; empty when the search finds none in time."""
    words = ("log", "--raw", "--no-abbrev", "--no-renames", "--format=%H", "--all", bench.base.commit, "--", path)
    try:
        listing = bench.git.text(*words, timeout=_HISTORY_SECONDS)
    except InfraError:
        return ""
    commit = ""
    for line in listing.splitlines():
        if re.fullmatch(r"[0-9a-f]{40,64}", line):
            commit = line
        elif re.match(rf":\d+ \d+ [0-9a-f]+ {blob} ", line):
            return commit
    return ""


# --- was done what was asked --------------------------------------------------
def _verify(bench: _Bench, patch: Patch, before: str, after: str) -> None:
    """Raise UserError unless the change is to the declared files, and no link leads out of the tree.

    The checks before this one read the patch with our parser; here git says what it made of it.
    """
    listing = bench.git.text("diff-tree", "-r", "--no-renames", before, after)
    for mode, blob, path in re.findall(r"^:\d+ (\d+) [0-9a-f]+ ([0-9a-f]+) [A-Z]\d*\t(.+)$", listing, re.M):
        if path not in patch.files:
            raise _refused(patch, path, "is changed, though the patch does not name it")
        if mode == "120000":
            target = bench.git.text("cat-file", "blob", blob)
            if fault := link_fault(posixpath.normpath(path), target):
                raise _refused(patch, path, f"is a symbolic link that {fault} ({target})")
        elif mode not in ("100644", "100755", "000000"):
            raise _refused(patch, path, f"has mode {mode}")
    if not listing.strip():
        raise UserError(
            f"patch {patch.number} {patch.subject!r} changes nothing on this tree", "leave it out of the series"
        )


def _refused(patch: Patch, path: str, why: str) -> UserError:
    return UserError(
        f"patch {patch.number} {patch.subject!r} ({patch.origin}) is refused: {path!r} {why}",
        "a patch may only change files of the kernel tree",
    )
