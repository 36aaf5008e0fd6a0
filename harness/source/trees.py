"""From --tree and --base to a commit in a repository of ours."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.apt import PrivateApt
from harness.apt_output import Offer
from harness.cache import Cache, digest
from harness.errors import InfraError, UserError
from harness.model import Tree
from harness.proc import Door
from harness.source.folder import import_folder
from harness.source.git import Git
from harness.source.linux import NEEDED, as_tree, not_linux
from harness.source.tarball import import_tarball
from harness.source.usergit import UserRepo, find_repo, mirror, need_blobs, resolve_revision, unsaved
from harness.ui import Ui

_DEBIAN = "debian:"
_ID = re.compile(r"[0-9a-f]{7,64}")  # a commit id, whole or short
_IMPORT_GIB = 2.0  # the packed tree takes about 0.4 GiB, the download as much, and git its share while it works


def resolve_tree(spec: str, base_rev: str | None, cache: Cache, door: Door, ui: Ui) -> Tree:
    """The tree that ``spec`` names, as a commit in our cache.

    ``spec`` is a git checkout or bare repository, a plain directory, a tar
    archive, or ``debian:X.Y`` (also a full package version: ``debian:7.3.4-1``).
    ``base_rev`` is a revision, for git only; None is HEAD. What the user has
    is only read. Raises UserError: no such thing, no such revision, not a
    Linux tree; InfraError: no network, no space.
    """
    path = Path(spec).expanduser()
    repo = find_repo(path) if path.is_dir() else None
    if base_rev is not None and repo is None:
        raise UserError(f"--base {base_rev} needs a git repository, and {spec} is none", "leave --base out")
    if spec.startswith(_DEBIAN):
        return _debian(spec, cache, door, ui)
    if repo is not None:
        return _git(spec, repo, base_rev or "HEAD", cache, door, ui)
    if path.is_dir():
        return _folder(spec, path.resolve(), cache, door, ui)
    if path.is_file():
        return _tarball(spec, path, cache, door, ui)
    raise UserError(
        f"--tree {spec}: there is no such file or directory",
        "give a git checkout, a kernel source directory, a tarball, or debian:X.Y for Debian's linux-source-X.Y",
    )


def _git(spec: str, repo: UserRepo, revision: str, cache: Cache, door: Door, ui: Ui) -> Tree:
    commit = resolve_revision(repo, revision, door)
    ours = mirror(repo, cache, door)
    need_blobs(repo, ours, commit)
    if ours.commit("HEAD") == commit and not _ID.fullmatch(revision):  # nobody looks for his edits under an id
        _warn_unsaved(spec, repo, ours, commit, ui)
    shown = spec if revision == "HEAD" else f"{spec} at {revision}"
    return as_tree(shown, ours, commit)


def _warn_unsaved(spec: str, repo: UserRepo, ours: Git, commit: str, ui: Ui) -> None:
    state = unsaved(repo, ours, commit)
    if state is None:
        return
    for names, what in ((state.changed, "uncommitted changes to"), (state.unknown, "files that git does not know:")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            ui.say(f"WARNING: {spec} has {what} {', '.join(names[:3])}{more}. They are NOT tested: commit them first.")


def _folder(spec: str, path: Path, cache: Cache, door: Door, ui: Ui) -> Tree:
    missing = [name for name in NEEDED if not (path / name).exists()]
    if missing:  # told before an import of what may be a large wrong folder
        raise not_linux(spec, missing)
    entry = cache.room("trees") / f"dir-{digest(str(path))}.git"
    with cache.lock(f"trees-{entry.name}", ui.say):
        if not (entry / "kph-index").exists():
            cache.need_space(_IMPORT_GIB, f"the import of {path}")
            ui.say(f"importing {path} (once; later runs look only at what changed)")
        if not cache.used(entry):
            with cache.build(entry) as scratch:
                Git.create(door, scratch)
        git = Git(door, entry)
        commit = import_folder(path, git, door)
    return as_tree(spec, git, commit)


def _tarball(spec: str, path: Path, cache: Cache, door: Door, ui: Ui) -> Tree:
    with path.open("rb") as source:
        key = hashlib.file_digest(source, "sha256").hexdigest()[:20]
    git = _imported(f"tar-{key}", lambda _: path, path.name, cache, door, ui)
    return as_tree(spec, git, _imported_commit(git))


def _debian(spec: str, cache: Cache, door: Door, ui: Ui) -> Tree:
    wanted = spec.removeprefix(_DEBIAN)
    match = re.fullmatch(r"(\d+\.\d+)(?:[.~+-]\S*)?", wanted)
    if match is None:
        raise UserError(f"{spec!r} names no kernel version", "write debian:X.Y, for example debian:7.3")
    series = match[1]
    apt = PrivateApt(cache, door, ui.say)
    try:
        version = _choose(spec, series, wanted, apt.offers(f"linux-source-{series}"), apt)
    except InfraError as fault:
        version = _already_here(series, wanted, cache)
        if not version:
            raise
        ui.say(f"{fault.message}; using linux-source-{series} {version}, imported earlier")
    git = _imported(
        f"debian-{version.replace(':', '%3a')}",
        lambda scratch: _source_archive(apt, series, version, scratch),
        f"linux-source-{series} {version}",
        cache,
        door,
        ui,
    )
    for deb in cache.room("apt", "debs").glob(f"linux-source-{series}_*.deb"):
        deb.unlink(missing_ok=True)  # 160 MiB that the repository has too
    return as_tree(f"{_DEBIAN}{version}", git, _imported_commit(git))


def _choose(spec: str, series: str, wanted: str, offers: tuple[Offer, ...], apt: PrivateApt) -> str:
    fit = [o.version for o in offers if wanted in (series, o.version) or o.version.startswith(f"{wanted}-")]
    if fit:
        return fit[0]
    if offers:
        have = ", ".join(offer.version for offer in offers)
        raise UserError(f"{spec}: the archive does not have linux-source-{series} in this version", f"it has {have}")
    names = [name for name in apt.names("linux-source-") if re.fullmatch(r"linux-source-[\d.]+", name)]
    have = ", ".join(_DEBIAN + name.removeprefix("linux-source-") for name in names) or "none"
    raise UserError(f"{spec}: the archive has no linux-source-{series}", f"it has {have}")


def _already_here(series: str, wanted: str, cache: Cache) -> str:
    """The version of the package that was imported last and fits; empty when none was."""
    prefix = "debian-"
    found = [entry for entry in cache.room("trees").glob(f"{prefix}{series}*.git") if entry.is_dir()]
    found.sort(key=lambda entry: entry.stat().st_mtime)
    versions = [entry.name.removeprefix(prefix).removesuffix(".git").replace("%3a", ":") for entry in found]
    fit = [v for v in versions if wanted in (series, v) or v.startswith(f"{wanted}-")]
    return next((v for v in reversed(fit) if re.match(rf"{re.escape(series)}[.~-]", v)), "")


def _source_archive(apt: PrivateApt, series: str, version: str, scratch: Path) -> Path:
    """The tarball of kernel sources out of the package, below ``scratch``."""
    deb = apt.download(f"linux-source-{series}", version=version)
    apt.extract(deb, scratch)
    found = sorted(scratch.glob(f"usr/src/linux-source-{series}.tar.*"))
    if not found:
        raise InfraError(f"{deb.name} holds no kernel source", "report this: the package has changed its layout")
    return found[0]


def _imported(name: str, archive: Callable[[Path], Path], what: str, cache: Cache, door: Door, ui: Ui) -> Git:
    """The repository ``name``, made from the archive when it is not there yet."""
    entry = cache.room("trees") / f"{name}.git"
    with cache.lock(f"trees-{name}", ui.say):
        if not cache.used(entry):
            for left in entry.parent.glob(f".{entry.name}.*"):  # by a run that was killed: we hold the lock
                shutil.rmtree(left, ignore_errors=True)
            cache.need_space(_IMPORT_GIB, f"the import of {what}")
            with tempfile.TemporaryDirectory(prefix=f".{entry.name}.", dir=entry.parent) as scratch:
                _import(archive(Path(scratch)), entry, what, cache, door, ui)
    return Git(door, entry)


def _import(file: Path, entry: Path, what: str, cache: Cache, door: Door, ui: Ui) -> None:
    with ui.phase("import", note=what), cache.build(entry) as scratch:
        ui.say(f"importing {what} (once)")
        git = Git.create(door, scratch)
        import_tarball(file, git, door, lambda count: ui.live(f"importing {what}: {count} files"))
        as_tree(what, git, _imported_commit(git))  # not a kernel: then nothing is kept


def _imported_commit(git: Git) -> str:
    return git.id("rev-parse", "refs/heads/import")
