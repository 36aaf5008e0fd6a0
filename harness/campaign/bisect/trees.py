"""The commits of a bisection as trees that can be built: with the fixups, and with the culprit taken back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cache import Cache
from harness.campaign.bisect.history import Commit
from harness.errors import UserError
from harness.model import Patch, Tree
from harness.proc import Door
from harness.source.apply import apply_series, not_applied
from harness.source.git import Git
from harness.source.linux import as_tree
from harness.source.series import load_series
from harness.source.trees import resolve_tree
from harness.source.usergit import find_repo, need_blobs
from harness.ui import Ui

_LIMIT = 300.0  # seconds for a diff


class Unfit(Exception):
    """A commit that cannot be made into a tree to build; its message says why."""


@dataclass(frozen=True)
class Trees:
    """Trees of one repository."""

    spec: str  # --tree
    fixups: tuple[str, ...]  # --fixup: series that each tree needs
    end: Tree  # the newer end, as it is
    cache: Cache
    door: Door
    ui: Ui

    @staticmethod
    def of(spec: str, revision: str, fixups: Sequence[str], cache: Cache, door: Door, ui: Ui) -> Trees:
        """Raises UserError when ``spec`` is no git repository, or has no such revision."""
        path = Path(spec).expanduser()
        if not path.is_dir() or find_repo(path) is None:
            raise UserError(f"--tree {spec} is no git repository, so it has no history", "give a git checkout")
        return Trees(spec, tuple(fixups), resolve_tree(spec, revision, cache, door, ui), cache, door, ui)

    @property
    def git(self) -> Git:
        return Git(self.door, self.end.repo)

    def commit(self, revision: str) -> str:
        """The full id of the commit that ``revision`` names. Raises UserError if it names none."""
        return resolve_tree(self.spec, revision, self.cache, self.door, self.ui).commit

    def tree(self, commit: str) -> Tree:
        """``commit`` with the fixups. Raises Unfit when one does not apply, UserError when files are missing."""
        repo = find_repo(Path(self.spec).expanduser())
        if repo is not None:
            need_blobs(repo, self.git, commit)
        return self._fixed(as_tree(f"{self.spec} at {commit[:12]}", self.git, commit, self.end.lineage))

    def without(self, culprit: Commit) -> Tree:
        """The newer end with ``culprit`` taken back, and the fixups. Raises Unfit when it cannot be taken back."""
        return self._fixed(self.bare(culprit))

    def bare(self, culprit: Commit) -> Tree:
        """The same without the fixups."""
        if len(culprit.parents) != 1:
            raise Unfit("a merge is not taken back")
        with tempfile.TemporaryDirectory(prefix="revert-", dir=self.cache.room("trees")) as scratch:
            file = Path(scratch) / "diff"
            argv, env = self.git.command("diff", "--binary", "--full-index", culprit.id, culprit.parents[0])
            self.door.run(argv, env=env, output=file, timeout=_LIMIT)
            git = replace(self.git, index=Path(scratch) / "index")
            git.run("read-tree", self.end.commit)
            done = git.run("apply", "--cached", "--3way", "--whitespace=nowarn", file, check=False)
            if done.status != 0:
                where = [line for line in done.output.splitlines() if line.startswith(("error:", "U "))]
                raise Unfit(f"it cannot be taken back there: {'; '.join(where[:2]) or 'its lines have changed since'}")
            content = git.id("write-tree")
        commit = self.git.commit_tree(content, self.end.commit, f'Revert "{culprit.subject}"')
        return as_tree(f"{self.end.spec} without {culprit.short}", self.git, commit, self.end.lineage)

    def _fixed(self, tree: Tree) -> Tree:
        series = load_series(self.fixups, tree, self.cache, self.door, self.ui)
        if series is None:
            return tree
        needed = not_applied(tree, series.patches, self.door)
        if not needed:
            return tree
        try:
            return apply_series(tree, replace(series, patches=_numbered(needed)), self.cache, self.door)
        except UserError as error:
            raise Unfit(f"the fixup does not apply: {error.message.splitlines()[0]}") from error


def _numbered(patches: Sequence[Patch]) -> tuple[Patch, ...]:
    return tuple(replace(patch, number=number) for number, patch in enumerate(patches, 1))
