"""Applying: what the error says when a patch does not fit, and that what it says is true."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.model import Patch, Series, Tree
from harness.proc import Door
from harness.source.apply import apply_series
from harness.source.diff import Damaged, FileDiff, find_strip, parse, split_names, unquote
from harness.source.guard import path_fault
from harness.source.misfit import explain
from harness.source.series import load_series
from tests.unit.source_tree import BASE, DATA, PATCHES, Desk, git, user_repo, write_tree

MAILS = DATA / "mails"


def failure(desk: Desk, tree: Path, *specs: Path | str, base: str | None = None) -> UserError:
    """The error that applying the series raises."""
    resolved = desk.tree(tree, base)
    series = load_series(list(map(str, specs)), resolved, desk.cache, desk.door, desk.ui)
    assert series is not None
    with pytest.raises(UserError) as caught:
        apply_series(resolved, series, desk.cache, desk.door)
    assert not list(desk.cache.room("trees").glob("apply-*"))
    return caught.value


def repo_with(folder: Path, change: Callable[[str], str], path: str = "drivers/iommu/sva.c") -> Path:
    """A repository whose first commit is the base and whose second changes one file."""
    repo = user_repo(folder)
    (repo / path).write_text(change(BASE[path]))
    git(repo, "commit", "-q", "-a", "-m", "changed", when=1700000100)
    return repo


def _applications(desk: Desk, series: Series, tree: Tree) -> tuple[str, int]:
    """The commit, and how many patches git was asked to apply for it."""
    log = desk.cache.root / "commands.log"
    log.unlink(missing_ok=True)
    commit = apply_series(tree, series, desk.cache, Door(log)).commit
    return commit, sum(" apply --cached " in line for line in log.read_text().splitlines())


def test_what_was_applied_before_is_not_applied_again(desk: Desk, tmp_path: Path) -> None:
    tree = desk.tree(user_repo(tmp_path / "linux"))
    series = load_series([str(MAILS / "series.mbox")], tree, desk.cache, desk.door, desk.ui)
    assert series is not None and len(series.patches) > 1
    first, count = _applications(desk, series, tree)
    assert count == len(series.patches)
    assert _applications(desk, series, tree) == (first, 0)
    *others, last = series.patches
    edited = replace(series, patches=(*others, replace(last, subject="another")))
    commit, count = _applications(desk, edited, tree)
    assert commit != first and count == 1, "those before it are known"
    for note in desk.cache.room("applied").iterdir():
        note.write_text("0" * 40)
    assert _applications(desk, series, tree) == (first, len(series.patches)), "a commit that is gone"


# --- one commit per patch --------------------------------------------------------
def test_one_commit_per_patch_with_its_author(desk: Desk, tmp_path: Path) -> None:
    tree = desk.tree(user_repo(tmp_path / "linux"))
    series = load_series([str(MAILS / "series.mbox")], tree, desk.cache, desk.door, desk.ui)
    assert series is not None
    patched = apply_series(tree, series, desk.cache, desk.door)
    log = git(patched.repo, "log", "--reverse", "--format=%an <%ae> %s", f"{tree.commit}..{patched.commit}")
    assert log.splitlines() == [f"Zo\u00eb Ngata <zoe@example.org> {title}" for title, _ in PATCHES]
    assert patched.lineage == tree.lineage
    assert patched.spec == f"{tree.spec} + iommu/sva: Bonds that can be counted"


def test_commit_ids_depend_on_base_and_patches_only(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        desk = Desk.at(tmp_path / name)
        tree = desk.tree(user_repo(tmp_path / name / "linux"))
        series = load_series([str(MAILS / "out-of-order.mbox")], tree, desk.cache, desk.door, desk.ui)
        assert series is not None
        ids.add(apply_series(tree, series, desk.cache, desk.door).commit)
    assert len(ids) == 1


def test_binary_rename_mode_and_delete(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    git(repo, "checkout", "-q", "-b", "topic")
    (repo / "logo.bin").write_bytes(bytes(range(256)))
    git(repo, "mv", "drivers/iommu/sva.c", "drivers/iommu/bonds.c")
    git(repo, "rm", "-q", "Documentation/sva.rst")
    (repo / "Kconfig").chmod(0o755)
    (repo / "empty file.h").touch()
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "all at once")
    patch = tmp_path / "all.patch"
    patch.write_text(git(repo, "format-patch", "-1", "--stdout", "--binary") + "\n")
    wanted = git(repo, "rev-parse", "HEAD^{tree}")
    for spec in (str(patch), "base..topic", "topic^!"):
        tree = desk.tree(repo, "base")
        series = load_series([spec], tree, desk.cache, desk.door, desk.ui)
        assert series is not None
        assert apply_series(tree, series, desk.cache, desk.door).content == wanted, spec


# --- git ranges -------------------------------------------------------------------
def test_range_is_read_from_the_users_branches(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=3)
    tree = desk.tree(repo, "base")
    for spec in ("base..main", "base..", "HEAD~3..HEAD", "main~3..main"):
        series = load_series([spec], tree, desk.cache, desk.door, desk.ui)
        assert series is not None
        assert [patch.subject for patch in series.patches] == [title for title, _ in PATCHES]
        assert series.base_commit == git(repo, "rev-parse", "base")
        assert series.patches[0].author == "Zo\u00eb Ngata <zoe@example.org>"
        patched = apply_series(tree, series, desk.cache, desk.door)
        assert patched.content == git(repo, "rev-parse", "main^{tree}")


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("base..gone", "neither a file nor a range"),
        ("gone^!", "neither a file nor a range"),
        ("main..base", "holds no commits"),
        ("base...main", "is not a range of commits"),
        ("../gone.mbox", "there is no such file"),
        ("--output=x..main", "there is no such file"),
    ],
)
def test_bad_ranges(spec: str, error: str, desk: Desk, tmp_path: Path) -> None:
    tree = desk.tree(user_repo(tmp_path / "linux", patches=1), "base")
    with pytest.raises(UserError, match=error) as caught:
        load_series([spec], tree, desk.cache, desk.door, desk.ui)
    assert caught.value.hint


def test_merges_in_a_range_are_left_out_aloud(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    git(repo, "checkout", "-q", "-b", "side", "base")
    write_tree(repo, PATCHES[2][1])
    git(repo, "commit", "-q", "-a", "-m", PATCHES[2][0], when=1700000050)
    git(repo, "merge", "-q", "--no-ff", "-m", "merge", "main")
    tree = desk.tree(repo, "base")
    series = load_series(["base..side"], tree, desk.cache, desk.door, desk.ui)
    assert series is not None
    assert {patch.subject for patch in series.patches} == {PATCHES[0][0], PATCHES[2][0]}
    assert "1 merge commits are left out" in desk.said


# --- errors -----------------------------------------------------------------------
def test_failing_hunk_is_named_with_base_and_line(desk: Desk, tmp_path: Path) -> None:
    repo = repo_with(tmp_path / "linux", lambda text: text.replace("\tdrop_bond(handle);", "\tput_bond(handle);"))
    fault = failure(desk, repo, MAILS / "series.mbox")
    assert "patch 1/3 'iommu/sva: Count the bonds of an mm' (series.mbox, message 2) does not apply" in fault.message
    assert f"on {repo} (7.3.4, commit {git(repo, 'rev-parse', 'HEAD')[:12]})" in fault.message
    assert "drivers/iommu/sva.c: hunk 2 of 2 does not fit: @@ -37,6 +38,7 @@ out_unlock:" in fault.message
    assert "line 40: the patch expects '\\tdrop_bond(handle);'" in fault.message
    assert "the tree has     '\\tput_bond(handle);'" in fault.message
    assert f"--base {git(repo, 'rev-parse', 'base')[:12]}" in fault.hint


def test_later_patch_says_that_others_went_before(desk: Desk, tmp_path: Path) -> None:
    repo = repo_with(tmp_path / "linux", lambda text: text.replace("then use.", "and use."), "Documentation/sva.rst")
    fault = failure(desk, repo, MAILS / "series.mbox")
    assert "patch 3/3 'docs: sva: Say when to unbind'" in fault.message
    assert "after the patches before it" in fault.message


def test_already_applied(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=2)
    fault = failure(desk, repo, MAILS / "raw.eml")
    assert "hunk 1 of 2 is applied already" in fault.message
    assert "the tree already has this change" in fault.hint


def test_whole_series_is_applied_already(desk: Desk, tmp_path: Path) -> None:
    """Patch 1 alone cannot be taken back, because patch 2 changed its surroundings."""
    repo = user_repo(tmp_path / "linux", patches=3)
    assert "the tree already has the whole series" in failure(desk, repo, MAILS / "series.mbox").hint


def test_range_on_a_tree_that_has_it_tells_the_base(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=2)
    fault = failure(desk, repo, "base..main")
    assert f"--base {git(repo, 'rev-parse', 'base')[:12]}" in fault.hint


def test_missing_and_present_files(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    git(repo, "mv", "drivers/iommu/sva.c", "drivers/iommu/moved.c")
    git(repo, "commit", "-q", "-m", "moved")
    assert (
        "drivers/iommu/sva.c: the patch changes it, and it is not there"
        in failure(desk, repo, MAILS / "raw.eml").message
    )
    write_tree(repo, PATCHES[1][1])
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "present")
    fault = failure(desk, repo, "HEAD^!")
    assert "include/linux/sva.h: the patch creates it, and it is there already" in fault.message


def test_base_commit_that_the_tree_lacks(desk: Desk, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src")
    (folder / "drivers/iommu/sva.c").write_text("/* empty */\n")
    mail = (MAILS / "series.mbox").read_text()
    start = mail.index("base-commit: ") + len("base-commit: ")
    (tmp_path / "x.mbox").write_text(mail[:start] + "1234567890" * 4 + mail[start + 40 :])
    fault = failure(desk, folder, tmp_path / "x.mbox")
    assert "was made on commit 123456789012, which this tree does not have" in fault.hint
    assert "nothing like it is in the file" in fault.message


def test_base_is_found_by_the_blobs_of_the_index_lines(desk: Desk, tmp_path: Path) -> None:
    repo = repo_with(tmp_path / "linux", lambda text: text.replace("\tint ret;", "\tlong ret;\n\tint unused;"))
    wanted = git(repo, "rev-parse", "base")
    changed = (repo / "drivers/iommu/sva.c").read_text().replace("find_bond(dev, mm)", "seek_bond(mm)")
    (repo / "drivers/iommu/sva.c").write_text(changed)
    git(repo, "commit", "-q", "-a", "-m", "more")
    fault = failure(desk, repo, MAILS / "raw.eml")
    assert f"as it was in commit {wanted[:12]}: --base {wanted[:12]}" in fault.hint


def test_unknown_blob_is_told(desk: Desk, tmp_path: Path) -> None:
    repo = repo_with(tmp_path / "linux", lambda text: text.replace("drop_bond", "put_bond"))
    mail = (MAILS / "raw.eml").read_text()
    at = mail.index("index ") + 6
    (tmp_path / "x.eml").write_text(mail[:at] + "abcdef1" + mail[at + 7 :])
    assert (
        "drivers/iommu/sva.c (blob abcdef1), which is nowhere in this repository"
        in failure(desk, repo, tmp_path / "x.eml").hint
    )


def test_less_context_would_do(desk: Desk, tmp_path: Path) -> None:
    text = BASE["drivers/iommu/sva.c"]
    near = text.replace("\t\tgoto out_unlock;\n\n\thandle", "\t\tgoto fail;\n\n\thandle")
    repo = repo_with(tmp_path / "linux", lambda _: near)
    assert "git apply -C1" in failure(desk, repo, MAILS / "raw.eml").hint


def test_what_git_makes_of_a_patch_is_checked_again(desk: Desk, tmp_path: Path) -> None:
    """As if our parser had overlooked what git's does not."""
    repo = user_repo(tmp_path / "linux")
    tree = desk.tree(repo)
    series = load_series([str(MAILS / "raw.eml")], tree, desk.cache, desk.door, desk.ui)
    assert series is not None
    patch = series.patches[0]
    blind = Patch(1, patch.subject, patch.author, patch.diff, ("Kconfig",), "raw.eml")
    with pytest.raises(UserError, match="though the patch does not name it"):
        apply_series(tree, Series((), "x", (blind,)), desk.cache, desk.door)
    link = (DATA / "hostile" / "link-out.patch").read_bytes()
    hidden = Patch(1, "x", "", link, ("drivers/up",), "x.patch")
    with pytest.raises(UserError, match="points out of the tree"):
        apply_series(tree, Series((), "x", (hidden,)), desk.cache, desk.door)


# --- the diff parser ---------------------------------------------------------------
def test_names() -> None:
    assert split_names(b"a/x y b/x y") == (b"a/x y", b"b/x y")
    assert split_names(b'"a/\\303\\251" "b/\\303\\251"') == ("a/é".encode(), "b/é".encode())
    assert split_names(b'a/x "b/t\\tt"') == (b"a/x", b"b/t\tt")
    assert unquote(b'"a\\"b\\\\c"') == b'a"b\\c'
    with pytest.raises(Damaged):
        split_names(b"a/x b/y")


def test_strip_is_found() -> None:
    def plain(old: str, new: str) -> bytes:
        return f"--- {old}\n+++ {new}\n@@ -1 +1 @@\n-x\n+y\n".encode()

    assert find_strip(plain("a/x.c", "b/x.c")) == 1
    assert find_strip(plain("drivers/x.c", "drivers/x.c")) == 0
    assert find_strip(plain("linux.orig/x.c", "linux/x.c")) == 1
    assert find_strip(plain("/dev/null", "b/x.c")) == 1


def test_hunk_longer_than_announced() -> None:
    with pytest.raises(Damaged, match="ends early"):
        parse(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n")
    with pytest.raises(Damaged, match="binary file"):
        parse(b"diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n")


_LINE = st.sampled_from(["a", "b", "c", "", "\tx;", "-- ", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "diff --git a/q b/q"])


@given(old=st.lists(_LINE, max_size=12), new=st.lists(_LINE, max_size=12), tail=st.lists(_LINE, max_size=3))
def test_hunks_are_counted_whatever_is_in_them(old: list[str], new: list[str], tail: list[str]) -> None:
    if not old and not new:
        return
    body = [f"-{line}" for line in old] + [f"+{line}" for line in new]
    head = ["--- a/x", "+++ b/x", f"@@ -1,{len(old)} +1,{len(new)} @@"]
    change: FileDiff = parse("\n".join([*head, *body, "-- ", "2.47.0"]).encode())[0]
    assert change.hunks[0].before() == tuple(line.encode() for line in old)
    assert change.hunks[0].after() == tuple(line.encode() for line in new)
    assert change.text == ("\n".join([*head, *body]) + "\n").encode()


@given(lines=st.lists(st.sampled_from("abcd"), min_size=3, max_size=30), at=st.integers(0, 20), shift=st.integers(0, 5))
def test_explain_agrees_with_git_that_a_shifted_hunk_fits(lines: list[str], at: int, shift: int) -> None:
    at %= len(lines)
    old = "\n".join(lines).encode()
    diff = b"--- a/x\n+++ b/x\n@@ -%d,1 +%d,1 @@\n-%s\n+new\n" % (at + 1, at + 1, lines[at].encode())
    change = parse(diff)[0]
    assert explain(change, b"zz\n" * shift + old) is None
    other = old.replace(lines[at].encode(), b"Q")
    misfit = explain(change, other)
    assert misfit is not None
    assert "hunk 1 of 1 does not fit" in misfit.reason


def test_reading_mails_starts_no_process(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = desk.tree(user_repo(tmp_path / "linux"))
    monkeypatch.setenv("PATH", str(tmp_path))
    series = load_series([str(MAILS / "series.mbox")], tree, desk.cache, desk.door, desk.ui)
    assert series is not None
    assert len(series.patches) == 3


# --- paths ------------------------------------------------------------------------
@given(st.text(alphabet="ab./\\~-_ \x00\x1bGIT:git1é", max_size=14))
def test_no_accepted_path_leaves_the_tree(path: str) -> None:
    if path_fault(path):
        return
    parts = path.split("/")
    assert not {"..", ".", ""} & set(parts)
    assert not any(part.lower().startswith(".git") and part.lower().rstrip(". ") == ".git" for part in parts)
    assert not any(part.lower() == "git~1" for part in parts)
    assert posixpath.normpath(posixpath.join("/tree", path)) == f"/tree/{path}"
    assert path.isprintable()


@pytest.mark.parametrize(
    "path", ["Makefile", "a/b.c", "tools/perf/.gitignore", "a/x y.c", "a/b.git/c", "git~10/x", "a..b"]
)
def test_honest_paths(path: str) -> None:
    assert path_fault(path) == ""
