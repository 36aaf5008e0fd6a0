"""Tarballs become commits of ours."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.errors import UserError
from tests.unit.source_tree import BASE, Desk, base_content, git, write_tree


def archive(folder: Path, top: str = "linux-7.3/") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, f"{top}{path.relative_to(folder)}", recursive=False)
    return sink.getvalue()


def add(data: bytes, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    sink = io.BytesIO(data)
    with tarfile.open(fileobj=sink, mode="a") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        member.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(b"evil"))
    return sink.getvalue()


def test_tarballs_of_every_compression_give_the_same_commit(desk: Desk, tmp_path: Path) -> None:
    data = archive(write_tree(tmp_path / "src"))
    files = {"a.tar": data, "a.tar.gz": gzip.compress(data), "a.tar.xz": lzma.compress(data)}
    if shutil.which("zstd"):
        files["a.tar.zst"] = subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout
    trees = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        trees.append(desk.tree(tmp_path / name))
    assert {tree.content for tree in trees} == {base_content(tmp_path)}
    assert len({tree.commit for tree in trees}) == 1
    assert len({tree.repo for tree in trees}) == len(files)
    assert {tree.lineage for tree in trees} == {"linux-7.3"}


@pytest.mark.parametrize("top", ["", "./", "./linux-7.3/", "a/b/linux/"])
def test_the_kernel_is_found_wherever_its_top_is(top: str, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive(write_tree(tmp_path / "src"), top))
    assert desk.tree(tmp_path / "a.tar").content == base_content(tmp_path)


def test_a_tarball_is_imported_once(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive(write_tree(tmp_path / "src")))
    first = desk.tree(tmp_path / "a.tar")
    (tmp_path / "a.tar").rename(tmp_path / "b.tar")
    assert desk.tree(tmp_path / "b.tar").repo == first.repo
    assert desk.said.count("importing") == 1


def test_hard_links_are_copies(desk: Desk, tmp_path: Path) -> None:
    data = archive(write_tree(tmp_path / "src"))
    data = add(data, "linux-7.3/COPY", tarfile.LNKTYPE, "linux-7.3/Kconfig")
    (tmp_path / "a.tar").write_bytes(data)
    tree = desk.tree(tmp_path / "a.tar")
    assert git(tree.repo, "show", f"{tree.commit}:COPY") == BASE["Kconfig"].strip()


@pytest.mark.parametrize(
    ("name", "kind", "target", "error"),
    [
        ("../evil", tarfile.REGTYPE, "", "leaves the tree"),
        ("linux-7.3/../../evil", tarfile.REGTYPE, "", "leaves the tree"),
        ("/etc/evil", tarfile.REGTYPE, "", "absolute path"),
        ("linux-7.3/.git/config", tarfile.REGTYPE, "", "inside .git"),
        ("linux-7.3/link", tarfile.SYMTYPE, "/etc", "points at an absolute path"),
        ("linux-7.3/link", tarfile.SYMTYPE, "../../x", "points out of the tree"),
        ("linux-7.3/hard", tarfile.LNKTYPE, "linux-7.3/gone", "which is not in it"),
        ("linux-7.3/null", tarfile.CHRTYPE, "", "a device or a pipe"),
    ],
)
def test_hostile_members(name: str, kind: bytes, target: str, error: str, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(add(archive(write_tree(tmp_path / "src")), name, kind, target))
    with pytest.raises(UserError, match=error):
        desk.tree(tmp_path / "a.tar")
    assert not list(desk.cache.room("trees").glob("*.git"))


@pytest.mark.parametrize("cut", [100, 300])
def test_damaged_tarballs(cut: int, desk: Desk, tmp_path: Path) -> None:
    data = lzma.compress(archive(write_tree(tmp_path / "src")))
    (tmp_path / "a.tar.xz").write_bytes(data[: len(data) - cut])
    with pytest.raises(UserError):
        desk.tree(tmp_path / "a.tar.xz")
    assert not list(desk.cache.room("trees").glob("*.git"))


def test_a_file_that_is_no_archive(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello " * 500)
    with pytest.raises(UserError, match="cannot be read as a tar archive"):
        desk.tree(tmp_path / "notes.txt")
    (tmp_path / "other.tar").write_bytes(archive(write_tree(tmp_path / "x", {"scripts/README": "no kernel\n"})))
    with pytest.raises(UserError, match="holds no kernel tree"):
        desk.tree(tmp_path / "other.tar")
