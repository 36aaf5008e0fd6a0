"""Where QEMU's sources and firmware come from, and that they are the ones that the recipe names."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.build import qemu
from harness.build.qemu_recipe import Recipe, SourcePackage
from harness.build.qemu_source import package_files, parse_dsc, release_file, series
from harness.errors import InfraError, UserError
from tests.unit.qemu_house import CONFIGURE, House, NoApt, sha256, tarball


def test_a_damaged_archive_is_refused(house: House) -> None:
    archive = house.mirror / "qemu_9.9.9+ds-1.debian.tar.xz"
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(InfraError, match=r"debian\.tar\.xz is not the file that qemu_9.9.9\+ds-1\.dsc names"):
        house.ensure()


def test_another_dsc_is_refused(house: House) -> None:
    dsc = house.mirror / "qemu_9.9.9+ds-1.dsc"
    dsc.write_text(dsc.read_text() + "\n")
    with pytest.raises(InfraError, match=r"dsc is not the file that qemu/build\.yaml names"):
        house.ensure()


def test_an_archive_that_the_dsc_names_but_is_missing_is_told(house: House) -> None:
    (house.mirror / "qemu_9.9.9+ds.orig.tar.xz").unlink()
    with pytest.raises(InfraError, match=r"orig\.tar\.xz is missing"):
        house.ensure()


def test_without_a_mirror_the_source_package_is_fetched(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Apt(NoApt):
        def source(self, *words: object) -> Path:
            asked.append(words)
            return house.mirror

    monkeypatch.delenv("KPH_MIRROR")
    monkeypatch.setattr(qemu, "PrivateApt", Apt)
    assert house.ensure().version == "9.9.9"
    assert asked == [("qemu", "1:9.9.9+ds-1", ("sid",))]


def test_an_empty_mirror_is_passed_over(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KPH_MIRROR", str(tmp_path))
    with pytest.raises(InfraError, match="apt was asked") as caught:
        house.ensure()
    assert "KPH_MIRROR" in caught.value.hint and "--qemu" in caught.value.hint


def test_a_mirror_that_is_no_folder_is_the_users_mistake(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPH_MIRROR", str(house.root / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is no folder"):
        house.ensure()


def test_the_upstream_release_is_the_last_resort(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = house.root / "upstream" / "qemu-9.9.9.tar.xz"
    upstream.parent.mkdir()
    makefile = "%.bin:\n\techo rom > $@\n"
    top = "qemu-9.9.9"
    tarball(
        upstream,
        {
            f"{top}/configure": CONFIGURE,
            f"{top}/greeting": "hello from debian\n",
            f"{top}/pc-bios/optionrom/Makefile": makefile,
        },
    )
    monkeypatch.delenv("KPH_MIRROR")
    house.recipe(release={"url": upstream.as_uri(), "sha256": sha256(upstream)})
    assert house.ensure().version == "9.9.9"
    assert (house.cache.root / "downloads" / upstream.name).is_file()


def test_a_release_with_another_hash_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = house.root / "qemu-9.9.9.tar.xz"
    upstream.write_bytes(b"not QEMU")
    monkeypatch.delenv("KPH_MIRROR")
    house.recipe(release={"url": upstream.as_uri(), "sha256": "0" * 64})
    with pytest.raises(InfraError, match=r"apt was asked.*is not the file"):
        house.ensure()
    assert not list((house.cache.root / "downloads").iterdir())


def test_a_release_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    release = Recipe.model_validate(
        {
            "version": "1",
            "source": {"package": "q", "version": "1", "suite": "s", "dsc_sha256": ""},
            "release": {"url": (tmp_path / "no.tar.xz").as_uri(), "sha256": "0"},
            "device_folder": "d",
            "configure": [],
            "targets": [],
            "roms": {},
            "space_gib": 1,
        }
    ).release
    assert release is not None
    with pytest.raises(InfraError, match=r"no\.tar\.xz"):
        release_file(release, None, tmp_path / "downloads")


def test_firmware_comes_from_a_package_of_the_mirror(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.recipe(roms={"packages": {"seabios": {"bios.bin": "usr/share/no-such-folder/bios.bin"}}})
    (house.mirror / "seabios_1_all.deb").write_bytes(b"deb")

    class Apt(NoApt):
        def extract(self, deb: Path, into: Path) -> None:
            assert deb.name == "seabios_1_all.deb"
            (into / "usr/share/no-such-folder").mkdir(parents=True)
            (into / "usr/share/no-such-folder/bios.bin").write_text("bios")

    monkeypatch.setattr(qemu, "PrivateApt", Apt)
    share = house.ensure().folder / "share" / "qemu"
    assert [file.name for file in share.iterdir()] == ["bios.bin"]


def test_dsc_takes_sha256_only() -> None:
    text = (
        f"Source: q\nChecksums-Sha1:\n {'1' * 40} 5 a.tar\nChecksums-Sha256:\n {'2' * 64} 5 a.tar\nFiles:\n 3 5 a.tar\n"
    )
    assert parse_dsc(text) == {"a.tar": "2" * 64}


def test_a_dsc_may_not_name_files_elsewhere(tmp_path: Path) -> None:
    dsc = tmp_path / "q_1.dsc"
    dsc.write_text(f"Checksums-Sha256:\n {'2' * 64} 5 ../a.tar\n")
    wanted = SourcePackage(package="q", version="1", suite="s", dsc_sha256=sha256(dsc))
    with pytest.raises(InfraError, match="outside of its folder"):
        package_files(tmp_path, wanted)


def test_series_files_have_comments_and_options(tmp_path: Path) -> None:
    file = tmp_path / "series"
    file.write_text("# first\n\na.patch -p1\nb.patch # why\n")
    assert series(file) == ("a.patch", "b.patch")
    assert series(tmp_path / "none") == ()
