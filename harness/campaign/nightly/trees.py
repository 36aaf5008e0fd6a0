"""The trees of a night, fetched and resolved; one that fails costs the cells of that tree alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.cache import Cache, digest
from harness.campaign.nightly.file import NightlyFile, TreeEntry
from harness.errors import InfraError, KphError
from harness.model import Tree
from harness.proc import Door
from harness.source.series import load_series
from harness.source.trees import resolve_tree
from harness.ui import Ui

_FETCH = 3600.0  # seconds; the first time it is a clone of the kernel


def resolve(file: NightlyFile, cache: Cache, door: Door, ui: Ui) -> Mapping[str, Tree | KphError]:
    """Each tree by its name, or why it cannot be had."""
    found: dict[str, Tree | KphError] = {}
    for name, entry in file.trees.items():
        try:
            if entry.remote:
                _fetch(entry, door, ui)
            found[name] = resolve_tree(entry.tree, entry.branch or None, cache, door, ui)
        except KphError as error:
            ui.say(f"WARNING: the tree {name} cannot be tested: {error}")
            found[name] = error
    return found


def _fetch(entry: TreeEntry, door: Door, ui: Ui) -> None:
    """Bring a bare clone of the remote up to date. What it had stays, also when the remote is away: then it fails."""
    folder = Path(entry.tree)
    ui.say(f"fetching {entry.remote}")
    if not folder.exists():
        door.run(["git", "init", "-q", "--bare", folder], timeout=60)
    name = entry.branch or "master"
    # A new repository's HEAD names a branch of git's choice, which need not be there.
    door.run(["git", "-C", folder, "symbolic-ref", "HEAD", f"refs/heads/{name}"], timeout=60)
    refs = f"+{f'refs/heads/{name}' if entry.branch else 'HEAD'}:refs/heads/{name}"
    words: list[str | Path] = ["git", "-C", folder, "fetch", "-q", "--no-tags", entry.remote, refs]
    done = door.run(words, timeout=_FETCH, env={"GIT_TERMINAL_PROMPT": "0"}, check=False)
    if done.status != 0:
        raise InfraError(
            f"{entry.remote} cannot be fetched: {done.output.strip()[-200:]}", "the next night tries again"
        )


class Digests:
    """What tells a series on a tree from others; each is read once."""

    def __init__(self, cache: Cache, door: Door, ui: Ui) -> None:
        self._cache, self._door, self._ui = cache, door, ui
        self._known: dict[tuple[str, tuple[str, ...]], str | KphError] = {}

    def __call__(self, tree: Tree, series: tuple[str, ...]) -> str:
        """Raises KphError when the series cannot be read."""
        known = self._known.get((tree.commit, series))
        if known is None:
            known = self._read(tree, series)
            self._known[tree.commit, series] = known
        if isinstance(known, KphError):
            raise known
        return known

    def _read(self, tree: Tree, series: tuple[str, ...]) -> str | KphError:
        try:
            found = load_series(series, tree, self._cache, self._door, self._ui)
        except KphError as error:
            return error
        return digest(*(patch.diff for patch in found.patches)) if found else "none"
