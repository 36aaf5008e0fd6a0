"""Trees and series that other programs fetch: debian: through apt, b4: through b4."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from harness.errors import InfraError, UserError
from harness.model import Series
from harness.source.series import load_series
from tests.unit.fake_commands import FakeApt, install
from tests.unit.source_tree import DATA, PATCHES, Desk, git, user_repo, write_tree


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    return FakeApt(tmp_path / "machine", monkeypatch)


def package(folder: Path, series: str) -> Path:
    """What linux-source-X.Y unpacks to."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        tar.add(write_tree(folder / "tree"), f"linux-source-{series}")
    place = folder / "usr/src"
    place.mkdir(parents=True)
    (place / f"linux-source-{series}.tar.xz").write_bytes(lzma.compress(sink.getvalue()))
    return folder / "usr"


def test_debian_takes_the_highest_version(archive: FakeApt, desk: Desk, tmp_path: Path) -> None:
    archive.offer("linux-source-7.3", "7.3.4-1~bpo13+1", "trixie-backports/main")
    archive.offer("linux-source-7.3", "7.3.10-1", content=package(tmp_path / "p", "7.3"))
    tree = desk.tree("debian:7.3")
    assert tree.spec == "debian:7.3.10-1"
    assert tree.lineage == "linux-7.3"
    assert tree.content == git(user_repo(tmp_path / "reference"), "rev-parse", "HEAD^{tree}")
    assert "importing linux-source-7.3 7.3.10-1 (once)" in desk.said
    assert not list((desk.cache.root / "apt/debs").glob("*.deb"))  # the repository has it all
    again = desk.tree("debian:7.3")
    assert again == tree
    assert desk.tree("debian:7.3.10-1") == tree
    assert desk.tree("debian:7.3.10") == tree
    assert archive.calls("--extract") == 1


def test_debian_without_network_uses_what_was_imported(archive: FakeApt, desk: Desk, tmp_path: Path) -> None:
    archive.offer("linux-source-7.3", "7.3.4-1", content=package(tmp_path / "p", "7.3"))
    tree = desk.tree("debian:7.3")
    archive.fail("E: Failed to fetch http://archive.invalid  Temporary failure resolving 'archive.invalid'")
    for lists in desk.cache.root.glob("apt/state/*/lists/*Packages*"):
        lists.unlink()
    next(desk.cache.root.glob("apt/state/*/refreshed")).unlink()
    assert desk.tree("debian:7.3") == tree
    assert "using linux-source-7.3 7.3.4-1, imported earlier" in desk.said
    with pytest.raises(InfraError, match="no network"):
        desk.tree("debian:7.2")


def test_debian_versions_that_do_not_exist(archive: FakeApt, desk: Desk) -> None:
    archive.offer("linux-source-7.3", "7.3.4-1")
    archive.offer("linux-source-7.2", "7.2.13-1")
    with pytest.raises(UserError, match=r"no linux-source-9\.9") as caught:
        desk.tree("debian:9.9")
    assert "debian:7.2, debian:7.3" in caught.value.hint
    with pytest.raises(UserError, match=r"does not have linux-source-7\.3 in this version") as caught:
        desk.tree("debian:7.3.99")
    assert "7.3.4-1" in caught.value.hint
    for spec in ("debian:", "debian:sid", "debian:7", "debian:7.3 x"):
        with pytest.raises(UserError, match="names no kernel version"):
            desk.tree(spec)


def test_a_package_with_a_hostile_tarball_leaves_nothing(archive: FakeApt, desk: Desk, tmp_path: Path) -> None:
    content = package(tmp_path / "p", "7.3")
    (content / "src/linux-source-7.3.tar.xz").write_bytes(lzma.compress(b"no tar" * 200))
    archive.offer("linux-source-7.3", "7.3.4-1", content=content)
    with pytest.raises(UserError, match="cannot be read as a tar archive"):
        desk.tree("debian:7.3")
    assert not [path for path in desk.cache.room("trees").iterdir()]


# --- b4 -----------------------------------------------------------------------------
def b4_series(desk: Desk, tmp_path: Path, spec: str) -> Series:
    tree = desk.tree(user_repo(tmp_path / "linux"))
    series = load_series([spec], tree, desk.cache, desk.door, desk.ui)
    assert series is not None
    return series


_B4 = """#!/bin/sh
# as b4 am does: patches to NAME.mbx, the cover letter to NAME.cover, words to standard error
echo "$@" > {log}
while [ $# -gt 1 ]; do case "$1" in -o) out=$2;; -n) name=$2;; esac; shift; done
echo 'Looking up https://archive.invalid/'"$1" >&2
cp {mails} "$out/$name.mbx"
cp {cover} "$out/$name.cover"
"""


@pytest.mark.parametrize("spec", ["b4:20261101.1@example.org", "b4:<20261101.1@example.org>"])
def test_b4_fetches_a_series(spec: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mails = (DATA / "mails" / "series.mbox").read_bytes()
    second = mails.index(b"\nFrom 0000") + 1
    (tmp_path / "cover").write_bytes(mails[mails.index(b"\n") + 1 : second])
    (tmp_path / "mails").write_bytes(mails[second:])
    script = _B4.format(log=tmp_path / "log", mails=tmp_path / "mails", cover=tmp_path / "cover")
    install(tmp_path / "bin", "b4", script, monkeypatch)
    series = b4_series(desk, tmp_path, spec)
    assert series.title == "iommu/sva: Bonds that can be counted"
    assert [patch.subject for patch in series.patches] == [title for title, _ in PATCHES]
    assert len(series.base_commit) == 40
    assert series.patches[0].origin == "20261101.1@example.org, patch 1"
    assert (tmp_path / "log").read_text().split()[0] == "am"
    assert (tmp_path / "log").read_text().split()[-1] == "20261101.1@example.org"


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("#!/bin/sh\necho 'That message-id is not known.'\nexit 1\n", UserError, "That message-id is not known"),
        ("#!/bin/sh\necho 'No patches found.'\n", UserError, "No patches found"),
        ("#!/bin/sh\necho 'Max retries exceeded with url'\nexit 1\n", InfraError, "cannot reach the mail archive"),
    ],
)
def test_b4_that_finds_nothing(
    script: str, kind: type[Exception], message: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "bin", "b4", script, monkeypatch)
    with pytest.raises(kind, match=message):
        b4_series(desk, tmp_path, "b4:x@example.org")


def test_b4_is_not_installed(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = desk.tree(user_repo(tmp_path / "linux"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs the b4 command") as caught:
        load_series(["b4:x@example.org"], tree, desk.cache, desk.door, desk.ui)
    assert "apt install b4" in caught.value.hint


@pytest.mark.parametrize("spec", ["b4:", "b4:<>", "b4:--help"])
def test_b4_without_a_message_id(spec: str, desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no message-id"):
        b4_series(desk, tmp_path, spec)
