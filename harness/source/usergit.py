"""The user's own git repository, read and never written.

Only these are read from it: HEAD and references, objects (through an
alternates file), and a copy of the index. Its configuration, filters and hooks
do nothing here, and neither lock nor metadata is left behind.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cache import Cache, digest, write_whole
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.source.git import Git

# Of the files that git does not know, those that a build could use.
_SOURCE = re.compile(r"(\.(c|h|S|rs|dts|dtsi|lds)|(^|/)(Kconfig|Kbuild|Makefile)[^/]*)$")


@dataclass(frozen=True)
class UserRepo:
    """Where a checkout keeps its things."""

    git_dir: Path  # HEAD and index: .git, or a linked worktree's own folder
    common: Path  # objects and references, shared by all worktrees
    work: Path | None  # the checked-out files; None for a bare repository


@dataclass(frozen=True)
class Unsaved:
    """What a checkout has that no commit has."""

    changed: tuple[str, ...]  # tracked files that differ from HEAD
    unknown: tuple[str, ...]  # source files that git does not know and does not ignore


def find_repo(path: Path) -> UserRepo | None:
    """The repository of the checkout (or bare repository) at ``path``; None if there is none."""
    dot = path / ".git"
    if dot.is_dir():
        return _repo(dot, path)
    if dot.is_file():
        match = re.match(r"gitdir: (.+)", dot.read_text(errors="replace"))
        return _repo((path / match[1].strip()).resolve(), path) if match else None
    if (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir():
        return _repo(path, None)
    return None


def _repo(git_dir: Path, work: Path | None) -> UserRepo:
    link = git_dir / "commondir"  # gitrepository-layout(5): there in linked worktrees only
    common = (git_dir / link.read_text().strip()).resolve() if link.is_file() else git_dir.resolve()
    return UserRepo(git_dir.resolve(), common, work)


def mirror(repo: UserRepo, cache: Cache, door: Door) -> Git:
    """A repository of ours that sees every object and reference of the user's, as they are now.

    Raises UserError when the repository cannot be read or has no commit.
    """
    theirs = Git(door, repo.git_dir)
    shape = theirs.run("rev-parse", "--show-object-format", check=False)
    form = re.search(r"^(sha1|sha256)$", shape.output, re.M)
    head = theirs.commit("HEAD")
    if form is None or head is None:
        why = "it has no commit yet" if form else shape.output.strip()[-300:]
        raise UserError(f"the git repository {repo.git_dir} cannot be used: {why}", "check it with: git log -1")
    folder = cache.room("trees") / f"git-{digest(str(repo.common))}.git"
    with cache.lock(f"trees-{folder.name}"):
        if not cache.used(folder):
            with cache.build(folder) as scratch:
                Git.create(door, scratch, form[1])
        _follow(repo, theirs, folder, head)
    return Git(door, folder)


def need_blobs(repo: UserRepo, ours: Git, commit: str) -> None:
    """Raise UserError when a partial clone lacks files of ``commit``: nothing is fetched on the user's behalf."""
    if not any((repo.common / "objects/pack").glob("*.promisor")):
        return
    listing = ours.text("rev-list", "--objects", "--missing=print", "--no-walk", commit)
    missing = re.findall(r"^\?[0-9a-f]+", listing, re.M)
    if missing:
        raise UserError(
            f"the partial clone {repo.work or repo.git_dir} lacks {len(missing)} files of commit {commit[:12]}",
            f"fetch them: git -C {repo.work or repo.git_dir} checkout --detach {commit[:12]}, and back",
        )


def _follow(repo: UserRepo, theirs: Git, folder: Path, head: str) -> None:
    objects = str(repo.common / "objects").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    write_whole(folder / "objects/info/alternates", f'"{objects}"\n'.encode())
    listing = theirs.text("for-each-ref", "--format=%(objectname) %(refname)")
    refs = re.findall(r"^([0-9a-f]{40,64}) (refs/\S+)$", listing, re.M)
    write_whole(folder / "packed-refs", "".join(f"{oid} {name}\n" for oid, name in refs).encode())
    write_whole(folder / "HEAD", f"{head}\n".encode())
    shallow = repo.common / "shallow"
    if shallow.is_file():
        write_whole(folder / "shallow", shallow.read_bytes())
    else:
        (folder / "shallow").unlink(missing_ok=True)


def resolve_revision(repo: UserRepo, revision: str, door: Door) -> str:
    """The commit that ``revision`` names in the user's repository. Raises UserError if it names none."""
    commit = Git(door, repo.git_dir).commit(revision)
    if commit is None:
        shallow = (repo.common / "shallow").is_file()
        raise UserError(
            f"{revision!r} is not a commit of {repo.work or repo.git_dir}",
            "the clone is shallow: fetch the commit first" if shallow else "fetch it first, or check its spelling",
        )
    return commit


def unsaved(repo: UserRepo, ours: Git, head: str) -> Unsaved | None:
    """What is not in the commit ``head``; None when it cannot be told, or there are no files.

    Works on a copy of the index, with our configuration: git status would
    rewrite the user's index, and run the filters that their configuration names.
    """
    index = repo.git_dir / "index"
    if repo.work is None or not index.is_file():
        return None
    with tempfile.TemporaryDirectory(prefix="index-", dir=ours.folder) as scratch:
        copy = Path(scratch) / "index"
        shutil.copy2(index, copy)  # with its time: git compares it with those of the files
        for shared in repo.git_dir.glob("sharedindex.*"):
            shutil.copy2(shared, ours.folder / shared.name)
        git = replace(ours, index=copy, work=repo.work)
        loose = ("-c", "core.fileMode=false")  # the file system may not keep modes
        try:
            git.run(*loose, "update-index", "-q", "--refresh", check=False)
            words = ("diff-index", "--name-only", "--ignore-submodules=all", head)
            changed = git.text(*loose, *words).splitlines()
            unknown = git.text("ls-files", "--others", *_exclusions(repo)).splitlines()
        except InfraError:
            return None
        return Unsaved(tuple(changed), tuple(name for name in unknown if _SOURCE.search(name)))


def _exclusions(repo: UserRepo) -> list[str]:
    own = repo.common / "info" / "exclude"
    return ["--exclude-per-directory=.gitignore", *([f"--exclude-from={own}"] if own.is_file() else [])]
