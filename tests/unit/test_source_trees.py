"""Trees: git checkouts and directories become commits of ours; what the user has stays as it was."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.source.folder import excludes
from harness.source.linux import parse_version
from tests.unit.source_tree import BASE, LINKS, PATCHES, Desk, base_content, files_after, git, user_repo, write_tree


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below ``folder``: content, mode and modification time."""
    state = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = path.readlink().as_posix().encode() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        times = 0 if path.is_dir() else facts.st_mtime_ns
        state[str(path.relative_to(folder))] = f"{facts.st_mode:o} {times} {digest}"
    return state


def test_checkout_at_head(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    tree = desk.tree(repo)
    assert tree.commit == git(repo, "rev-parse", "HEAD")
    assert tree.content == git(repo, "rev-parse", "HEAD^{tree}")
    assert (tree.version, tree.spec) == ("7.3.4", str(repo))
    assert tree.repo.is_relative_to(desk.cache.root)
    assert "WARNING" not in desk.said


@pytest.mark.parametrize("revision", ["base", "HEAD~1", "main~1", "main^", "HEAD@{1}"])
def test_base_is_any_revision(revision: str, desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    tree = desk.tree(repo, revision)
    assert tree.commit == git(repo, "rev-parse", "base")
    assert tree.spec == f"{repo} at {revision}"


def test_the_users_repository_is_not_touched(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=2)
    (repo / "drivers/iommu/sva.c").write_text("changed\n")
    (repo / "new.c").write_text("new\n")
    before = fingerprint(repo)
    desk.tree(repo)
    desk.tree(repo, "base")
    assert fingerprint(repo) == before


def test_uncommitted_changes_are_told_loudly(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    (repo / "drivers/iommu/sva.c").write_text("changed\n")
    (repo / "new.c").write_text("new\n")
    tree = desk.tree(repo)
    assert tree.content == git(repo, "rev-parse", "HEAD^{tree}")
    assert "WARNING" in desk.said
    assert "uncommitted changes to drivers/iommu/sva.c" in desk.said
    assert "files that git does not know: new.c" in desk.said
    assert "NOT tested" in desk.said


def test_staged_changes_are_told_too(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    (repo / "Kconfig").write_text("# staged\n")
    git(repo, "add", "Kconfig")
    desk.tree(repo)
    assert "uncommitted changes to Kconfig" in desk.said


def test_touched_but_equal_files_are_no_change(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    for name in BASE:
        (repo / name).touch()
    desk.tree(repo)
    assert "WARNING" not in desk.said


def test_another_base_says_nothing_of_the_checkout(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    (repo / "Kconfig").write_text("# changed\n")
    desk.tree(repo, "base")
    assert "WARNING" not in desk.said


def test_later_commits_and_branches_are_seen(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    first = desk.tree(repo)
    write_tree(repo, PATCHES[0][1])
    git(repo, "commit", "-q", "-a", "-m", "more")
    git(repo, "branch", "topic")
    second = desk.tree(repo, "topic")
    assert first.repo == second.repo
    assert second.commit == git(repo, "rev-parse", "topic") != first.commit


def test_linked_worktree(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "base")
    before = fingerprint(tmp_path / "linked") | fingerprint(repo)
    tree = desk.tree(tmp_path / "linked")
    assert tree.commit == git(repo, "rev-parse", "base")
    assert fingerprint(tmp_path / "linked") | fingerprint(repo) == before


def test_bare_and_shallow_clones(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=2)
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    assert desk.tree(tmp_path / "bare.git", "base").content == git(repo, "rev-parse", "base^{tree}")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    assert desk.tree(tmp_path / "shallow").commit == git(repo, "rev-parse", "HEAD")
    with pytest.raises(UserError, match="'HEAD~1' is not a commit") as caught:
        desk.tree(tmp_path / "shallow", "HEAD~1")
    assert "shallow" in caught.value.hint


def test_partial_clone(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux", patches=1)
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repo}", "partial")
    before = fingerprint(tmp_path / "partial")
    assert desk.tree(tmp_path / "partial").content == git(repo, "rev-parse", "HEAD^{tree}")
    with pytest.raises(UserError, match="lacks 1 files of commit"):
        desk.tree(tmp_path / "partial", "HEAD~1")
    assert fingerprint(tmp_path / "partial") == before


def test_files_that_no_build_uses_are_not_told(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    (repo / "notes.txt").write_text("mine\n")
    (repo / "hidden.c").write_text("mine\n")
    (repo / ".git/info/exclude").write_text("hidden.c\n")
    desk.tree(repo)
    assert "WARNING" not in desk.said
    (repo / "drivers/iommu/Kconfig.new").write_text("mine\n")
    desk.tree(repo)
    assert "git does not know: drivers/iommu/Kconfig.new." in desk.said


def test_sha256_repository(desk: Desk, tmp_path: Path) -> None:
    repo = tmp_path / "linux"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main", "--object-format=sha256")
    write_tree(repo)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "base")
    assert desk.tree(repo).commit == git(repo, "rev-parse", "HEAD")


def test_hooks_and_filters_of_the_user_do_not_run(desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    trap = tmp_path / "ran"
    (repo / ".git/info/attributes").write_text("*.c filter=trap\n")
    git(repo, "config", "filter.trap.clean", f"touch {trap}; cat")
    git(repo, "config", "core.fsmonitor", f"touch {trap}; false")
    (repo / "drivers/iommu/sva.c").write_text("changed\n")
    trap.unlink(missing_ok=True)
    desk.tree(repo)
    assert "WARNING" in desk.said
    assert not trap.exists()


def test_users_configuration_and_environment_do_not_matter(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = user_repo(tmp_path / "linux")
    wanted = git(repo, "rev-parse", "HEAD")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[core]\n\tautocrlf = true\n\tbare = maybe\n[color]\n\tui = always\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere/objects"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere/index"))
    assert desk.tree(repo).commit == wanted


@pytest.mark.parametrize("revision", ["no-such-branch", "--output=x", "main:Makefile", "HEAD~99"])
def test_unknown_revision(revision: str, desk: Desk, tmp_path: Path) -> None:
    repo = user_repo(tmp_path / "linux")
    with pytest.raises(UserError, match="is not a commit of"):
        desk.tree(repo, revision)


def test_repository_without_a_commit(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "linux").mkdir()
    git(tmp_path / "linux", "init", "-q")
    with pytest.raises(UserError):
        desk.tree(tmp_path / "linux")


def test_directory_is_a_commit_and_stays_as_it_is(desk: Desk, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src")
    before = fingerprint(folder)
    tree = desk.tree(folder)
    assert tree.content == base_content(tmp_path)
    assert fingerprint(folder) == before
    assert desk.tree(folder).commit == tree.commit


def test_directory_follows_every_kind_of_change(desk: Desk, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src")
    first = desk.tree(folder)
    write_tree(folder, files_after(1, 2))
    (folder / "Documentation/sva.rst").unlink()
    (folder / "drivers/iommu/Kconfig").unlink()
    (folder / "drivers/iommu/Kconfig").mkdir()
    (folder / "drivers/iommu/Kconfig/part").write_text("config X\n")
    reference = tmp_path / "again"
    shutil.copytree(folder, reference, symlinks=True)
    changed = desk.tree(folder)
    assert changed.content != first.content
    assert changed.content == desk.tree(reference).content
    shutil.rmtree(folder)
    write_tree(folder)
    assert desk.tree(folder).content == first.content


def test_build_products_are_left_out(desk: Desk, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src")
    (folder / ".gitignore").write_text("*.mod\n/System.map\n")
    (folder / "drivers/.gitignore").write_text("made.h\n/only-here\nsub/made.c\n")
    clean = desk.tree(folder).content
    for name in ("x.o", "drivers/y.mod", "System.map", "vmlinux", ".config", "include/config/auto.conf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("made")
    for name in ("arch/x86/include/generated/a.h", "drivers/iommu/made.h", "drivers/only-here", "drivers/sub/made.c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("made")
    (folder / "drivers/iommu/.sva.o.cmd").write_text("made")
    assert desk.tree(folder).content == clean
    (folder / "drivers/iommu/only-here").write_text("source")  # the rule is for drivers/ itself
    assert desk.tree(folder).content != clean


def test_an_ignore_file_cannot_hide_the_tree(desk: Desk, tmp_path: Path) -> None:
    """As in Debian's kernel source, whose .gitignore ends with /* for the sake of its packaging repository."""
    folder = write_tree(tmp_path / "src")
    (folder / ".gitignore").write_text(".*\n*.o\n#\n# Debian packaging\n#\n/*\n!/debian/\n")
    (folder / "drivers/.kunitconfig").write_text("CONFIG_KUNIT=y\n")
    tree = desk.tree(folder)
    listing = git(tree.repo, "ls-tree", "-r", "--name-only", tree.commit).splitlines()
    assert set(listing) == {*BASE, *LINKS, ".gitignore", "drivers/.kunitconfig"}


def test_a_nested_repository_is_left_out(desk: Desk, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src")
    user_repo(folder / "tools/other")
    assert desk.tree(folder).content == base_content(tmp_path)


def test_not_a_kernel(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="lacks Makefile, Kconfig, drivers/iommu"):
        desk.tree(tmp_path / "empty")
    folder = write_tree(tmp_path / "src", BASE | {"Makefile": "all:\n"})
    with pytest.raises(UserError, match="lacks VERSION and PATCHLEVEL"):
        desk.tree(folder)
    repo = user_repo(tmp_path / "linux")
    git(repo, "rm", "-rq", "drivers")
    git(repo, "commit", "-q", "-m", "no drivers")
    with pytest.raises(UserError, match="lacks drivers/iommu"):
        desk.tree(repo)


def test_no_such_tree(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or directory") as caught:
        desk.tree(tmp_path / "gone")
    assert "debian:X.Y" in caught.value.hint


def test_base_needs_git(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--base v7\.2 needs a git repository"):
        desk.tree(write_tree(tmp_path / "src"), "v7.2")


def test_excludes_keep_their_order() -> None:
    rules = excludes([("drivers/gpu", "*.h\n!keep.h\n"), ("", "*.o\n/top\n"), ("drivers", "/a\nb/c\nd/\n\\#x\n")])
    lines = rules.splitlines()
    wanted = ["*.o", "/top", "/drivers/a", "/drivers/b/c", "/drivers/**/d/", "/drivers/**/#x"]
    wanted += ["/drivers/gpu/**/*.h", "!/drivers/gpu/**/keep.h"]
    places = [len(lines) - 1 - lines[::-1].index(rule) for rule in wanted]
    assert places == sorted(places)
    assert lines[-1].startswith("!.")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (BASE["Makefile"], "7.3.4"),
        ("VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\nNAME = Baby\n", "7.4.0-rc2"),
        ("VERSION=6\nPATCHLEVEL\t=\t12\n", "6.12.0"),
        ("all:\n", ""),
        ("VERSION = x\nPATCHLEVEL = 1\n", ""),
    ],
)
def test_parse_version(text: str, version: str) -> None:
    assert parse_version(text) == version
