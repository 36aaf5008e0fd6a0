"""Commits, what of them matters to a build, and the graph that is left."""

from __future__ import annotations

import functools
import io
import random
from pathlib import Path

import pytest

from harness.campaign.bisect import history as histories
from harness.campaign.bisect.history import Commit, Graph, History
from harness.campaign.bisect.prune import Edge, Reads, entries, matters, prune, records
from harness.errors import UserError
from harness.source.git import Git
from tests.unit.source_tree import Desk, git

READS = Reads(frozenset({"init/main.c", "include/linux/all.h", "arch/x86/head.S"}), frozenset({"include/linux/bind.h"}))


class Repo:
    """A repository with branches."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "linux"
        self.path.mkdir()
        git(self.path, "init", "-q", "-b", "main")
        self.commit("base", **{"init/main.c": "0", "Documentation/a.rst": "0"})
        self.git = Git(Desk.at(folder).door, self.path / ".git")

    def commit(self, subject: str, **files: str) -> str:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", subject)
        return self.head()

    def head(self) -> str:
        return git(self.path, "rev-parse", "HEAD").strip()

    def merge(self, name: str, *words: str) -> str:
        git(self.path, "merge", "-q", "--no-ff", *words, "-m", f"Merge {name}", name)
        return self.head()


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path)


def test_a_history_is_every_commit_after_its_parents_with_author_and_subject(repo: Repo) -> None:
    old = repo.head()
    one = repo.commit('a "subject", and more', **{"init/main.c": "1"})
    git(repo.path, "checkout", "-q", "-b", "side", old)
    side = repo.commit("side", **{"init/other.c": "1"})
    git(repo.path, "checkout", "-q", "main")
    new = repo.merge("side")
    found = histories.read(repo.git, old, new)
    assert {commit.id for commit in found.commits} == {one, side, new}
    assert found.commits[-1].id == new and found.commits[-1].parents == (one, side)
    assert found.by_id[one].subject == 'a "subject", and more'
    assert "<" in found.by_id[one].author and found.by_id[one].date[:2] == "20"
    assert set(found.edges()) == {(old, one), (old, side), (one, new), (side, new)}
    assert histories.common(repo.git, one, side) == old
    assert histories.commit(repo.git, one) == found.by_id[one]


def test_ends_that_make_no_range_are_refused(repo: Repo) -> None:
    old = repo.head()
    new = repo.commit("later")
    with pytest.raises(UserError, match="the same commit"):
        histories.read(repo.git, old, old)
    with pytest.raises(UserError, match="contains") as told:
        histories.common(repo.git, new, old)
    assert "--find-fix" in told.value.hint
    git(repo.path, "checkout", "-q", "--orphan", "alone")
    alone = repo.commit("alone")
    with pytest.raises(UserError, match="no history in common"):
        histories.common(repo.git, alone, new)


def test_what_matters_is_asked_of_each_edge(repo: Repo) -> None:
    old = repo.head()
    code = repo.commit("code", **{"init/main.c": "1"})
    text = repo.commit("text", **{"Documentation/a.rst": "1", "init/unused.c": "1"})
    empty = repo.commit("nothing")
    bind = repo.commit("module", **{"include/linux/bind.h": "1"})
    edges = [(old, code), (code, text), (text, empty), (empty, bind), (old, bind)]
    found = matters(repo.git, edges, READS)
    assert found == {
        edges[0]: "init/main.c",
        edges[1]: "",
        edges[2]: "",
        edges[3]: "include/linux/bind.h",
        edges[4]: "include/linux/bind.h",
    }
    assert matters(repo.git, [], READS) == {}


def test_git_that_tells_of_another_commit_is_not_believed() -> None:
    with pytest.raises(AssertionError, match="git tells of"):
        list(entries(["x" * 40], [("p", "c")]))
    parts = ["c", ":100644 100644 1 2 M", "a", "d"]
    listed = list(entries(parts, [("p", "c"), ("p", "d")]))
    assert [(edge, [change.path for change in changes]) for edge, changes in listed] == [
        (("p", "c"), ["a"]),
        (("p", "d"), []),
    ]


def _short(source: io.BytesIO, size: int, _: int) -> bytes:
    return source.read(size)


def test_records_are_whole_wherever_a_block_ends() -> None:
    text = b"one\0two\0three\0"
    for size in range(1, 8):
        assert list(records(functools.partial(_short, io.BytesIO(text), size))) == ["one", "two", "three"]


def chain(*names: str) -> History:
    """A line of commits after "old"."""
    above = ("old", *names)
    commits = tuple(Commit(name, (above[at],), "", "", name) for at, name in enumerate(names))
    return History("old", names[-1], commits)


def test_commits_that_change_nothing_have_the_image_of_their_parent() -> None:
    history = chain("a", "b", "c", "d")
    edges: dict[Edge, str] = {("old", "a"): "", ("a", "b"): "x.c", ("b", "c"): "", ("c", "d"): "y.c"}
    pruned = prune(history, edges)
    assert pruned.graph.nodes == ("b", "d") and pruned.graph.parents == {"b": (), "d": ("b",)}
    assert pruned.same == {"a": "old", "b": "b", "c": "b", "d": "d"}
    assert pruned.why == {"b": "x.c", "d": "y.c"}
    assert prune(history, dict.fromkeys(edges, "")).graph.nodes == ()


def test_a_merge_that_takes_one_side_hides_the_other() -> None:
    # Both branches change files that are built; the merge keeps those of the first only.
    commits = (
        Commit("a", ("old",), "", "", ""),
        Commit("b", ("old",), "", "", ""),
        Commit("m", ("a", "b"), "", "", ""),
    )
    history = History("old", "m", commits)
    edges = {("old", "a"): "x.c", ("old", "b"): "y.c", ("a", "m"): "", ("b", "m"): "x.c"}
    pruned = prune(history, edges)
    assert pruned.graph.nodes == ("a",) and pruned.same["m"] == "a"
    both = prune(history, {**edges, ("a", "m"): "y.c"})
    assert both.graph.nodes == ("a", "b", "m") and both.graph.parents["m"] == ("a", "b")


def test_a_graph_knows_the_ancestors_of_each() -> None:
    chance = random.Random(3)
    parents: dict[str, tuple[str, ...]] = {}
    names = [f"n{number}" for number in range(60)]
    for at, name in enumerate(names):
        parents[name] = tuple(chance.sample(names[:at], min(at, chance.choice((0, 1, 1, 2)))))
    graph = Graph(tuple(names), parents)

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(parent) for parent in parents[name]))

    for at, name in enumerate(names):
        assert {names[bit] for bit in range(60) if graph.reach[at] >> bit & 1} == ancestors(name)
