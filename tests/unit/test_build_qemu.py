"""Building QEMU from a small fake source package, and judging the user's own build."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness import data, requirements
from harness.build import qemu
from harness.build.qemu_recipe import Recipe, SourcePackage, load, patch_that_adds
from harness.build.qemu_source import package_files, parse_dsc, release_file, series
from harness.cache import Cache
from harness.errors import InfraError, UserError
from harness.machine import target
from harness.model import Qemu
from harness.proc import Door
from harness.ui import Ui

EMULATOR = r"""#!/bin/sh
case "$*" in
*--version*) echo "QEMU emulator version 9.9.9 (kph)";;
*intel-iommu,help*) printf 'intel-iommu options:\n  x-pri=<bool>\n  device-iotlb=<bool>            - (default: off)\n';;
*kph-dma-pci,help*) printf 'kph-dma-pci options:\n  pasid-bits=<uint8>\n';;
*-device\ help*) printf 'Misc devices:\nname "kph-dma-pci", bus PCI\nname "intel-iommu", desc "IOMMU"\n';;
esac
"""

CONFIGURE = """#!/bin/sh
echo configured with "$@"
here=$(cd "$(dirname "$0")" && pwd)
test "$(cat $here/greeting)" = "hello from us" || { echo "meson.build:1:0: ERROR: patches are missing"; exit 1; }
test -f $here/hw/misc/kph/kph.c || { echo "ERROR: no device"; exit 1; }
mkdir -p pc-bios/optionrom
"""

NINJA = """#!/bin/sh
test -n "$NINJA_RUNS" && echo run >> "$NINJA_RUNS"
if test -n "$NINJA_FAILS"; then
  printf '[1/2] Compiling C object a.o\\nFAILED: b.o\\n../hw/misc/kph/kph.c:7:1: error: unknown type name frob\\n'
  exit 1
fi
printf '[1/2] Compiling C object a.o\\n[2/2] Linking target qemu-system-x86_64\\n'
cp "$EMULATOR" "$2/qemu-system-x86_64"
"""

OURS = """\
From: someone
Subject: greet

diff --git a/greeting b/greeting
--- a/greeting
+++ b/greeting
@@ -1 +1 @@
-hello from debian
+hello from us
"""

EXTRA = """\
diff --git a/more b/more
new file mode 100644
--- /dev/null
+++ b/more
@@ -0,0 +1 @@
+more
"""

DEBIANS = """\
--- a/greeting
+++ b/greeting
@@ -1 +1 @@
-hello
+hello from debian
"""


def tarball(file: Path, members: Mapping[str, str]) -> None:
    with tarfile.open(file, "w:xz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class House:
    """A data folder, a mirror and a PATH for one test."""

    root: Path
    cache: Cache
    door: Door

    @property
    def mirror(self) -> Path:
        return self.root / "mirror"

    def ensure(self, user_dir: Path | None = None) -> Qemu:
        return qemu.ensure_qemu(self.cache, self.door, Ui(quiet=True), user_dir)

    def recipe(self, **changes: object) -> None:
        file = self.root / "qemu" / "build.yaml"
        raw = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**raw, **changes}))


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A source package in a mirror, a recipe for it, and a ninja that copies a shell script."""
    here = House(tmp_path, Cache(tmp_path / "cache"), Door(tmp_path / "commands.log"))
    here.mirror.mkdir()
    makefile = "%.bin:\n\techo rom > $@\n"
    top = "qemu-9.9.9+ds"
    tarball(
        here.mirror / "qemu_9.9.9+ds.orig.tar.xz",
        {
            f"{top}/configure": CONFIGURE,
            f"{top}/greeting": "hello\n",
            f"{top}/pc-bios/optionrom/Makefile": makefile,
            f"{top}/roms/large": "not needed",
        },
    )
    tarball(
        here.mirror / "qemu_9.9.9+ds-1.debian.tar.xz",
        {"debian/patches/series": "# ours\ngreet.patch -p1\n", "debian/patches/greet.patch": DEBIANS},
    )
    dsc = here.mirror / "qemu_9.9.9+ds-1.dsc"
    lines = [f" {sha256(each)} {each.stat().st_size} {each.name}" for each in sorted(here.mirror.glob("*.tar.xz"))]
    dsc.write_text("\n".join(["Format: 3.0 (quilt)", "Checksums-Sha256:", *lines, "Files:", " 0 0 x", ""]))
    (tmp_path / "qemu" / "patches").mkdir(parents=True)
    (tmp_path / "qemu" / "device").mkdir()
    (tmp_path / "qemu" / "patches" / "0001-greet.patch").write_text(OURS)
    (tmp_path / "qemu" / "device" / "kph.c").write_text("int kph;\n")
    here.recipe(
        version="9.9.9",
        source={
            "package": "qemu",
            "version": "1:9.9.9+ds-1",
            "suite": "sid",
            "dsc_sha256": sha256(dsc),
            "leave_out": ["roms"],
        },
        device_folder="hw/misc/kph",
        configure=["--enable-kph"],
        targets=["qemu-system-x86_64"],
        roms={"build": ["linuxboot_dma.bin"]},
        space_gib=0.001,
    )
    program(tmp_path / "bin" / "ninja", NINJA)
    program(tmp_path / "emulator", EMULATOR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("EMULATOR", str(tmp_path / "emulator"))
    monkeypatch.setenv("NINJA_RUNS", str(tmp_path / "ninja-runs"))
    monkeypatch.setenv("KPH_MIRROR", str(here.mirror))
    monkeypatch.setattr(data, "folder", lambda name: tmp_path / name)
    monkeypatch.setattr(requirements, "missing", lambda each, door: requirements.Missing(()))
    monkeypatch.setattr(qemu, "PrivateApt", NoApt)
    return here


class NoApt:
    """Fails the test that downloads what the mirror has."""

    def __init__(self, *_: object) -> None:
        pass

    def source(self, *_: object) -> Path:
        raise InfraError("apt was asked", "do not")

    def download(self, *_: object) -> Path:
        raise InfraError("apt was asked", "do not")


def ninja_runs(house: House) -> int:
    file = house.root / "ninja-runs"
    return len(file.read_text().split()) if file.exists() else 0


def test_built_from_the_mirror_once_and_found_again(house: House) -> None:
    built = house.ensure()
    assert built.version == "9.9.9"
    assert (built.folder / "bin" / "qemu-system-x86_64").read_text() == EMULATOR
    assert (built.folder / "share" / "qemu" / "linuxboot_dma.bin").read_text() == "rom\n"
    assert house.ensure() == built
    assert ninja_runs(house) == 1
    assert not (house.cache.root / "qemu-build").exists()
    log = (house.cache.root / "logs" / "qemu-build.log").read_text()
    assert "--enable-kph" in log and "--python=" in log


def test_the_unneeded_folders_are_not_unpacked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINJA_FAILS", "1")
    with pytest.raises(InfraError):
        house.ensure()
    assert not (house.cache.root / "qemu-build" / "source" / "roms" / "large").exists()


@pytest.mark.parametrize("change", ["patch", "device", "recipe"])
def test_what_the_build_depends_on_is_in_its_key(house: House, change: str) -> None:
    before = house.ensure().key
    if change == "patch":
        file = house.root / "qemu" / "patches" / "0001-greet.patch"
        file.write_text(file.read_text() + EXTRA)
    elif change == "device":
        (house.root / "qemu" / "device" / "kph.c").write_text("int more;\n")
    else:
        house.recipe(configure=["--enable-more"])
    assert house.ensure().key != before
    assert ninja_runs(house) == 2


def test_words_for_people_do_not_cost_a_build(house: House) -> None:
    before = house.ensure()
    file = house.root / "qemu" / "patches" / "0001-greet.patch"
    file.write_text(file.read_text().replace("Subject: greet", "Subject: greet well"))
    (house.root / "qemu" / "device" / "README.md").write_text("registers\n")
    assert house.ensure() == before
    assert ninja_runs(house) == 1


def test_a_failed_compile_shows_the_compilers_words_and_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINJA_FAILS", "1")
    with pytest.raises(InfraError) as caught:
        house.ensure()
    assert "kph.c:7:1: error: unknown type name frob" in caught.value.message
    assert "[1/2]" not in caught.value.message
    assert str(house.cache.root / "logs" / "qemu-build.log") in caught.value.hint
    assert not list((house.cache.root / "qemu").glob("*"))


def test_an_interrupted_build_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINJA_FAILS", "1")
    with pytest.raises(InfraError):
        house.ensure()
    mark = house.cache.root / "qemu-build" / "build" / "object.o"
    mark.write_text("compiled before")
    monkeypatch.delenv("NINJA_FAILS")
    monkeypatch.setattr(qemu, "unpack", None)  # would fail if it were called
    house.ensure()


def test_ctrl_c_leaves_no_half_entry_and_no_lock(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(yard: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(qemu, "_build", interrupted)
        with pytest.raises(KeyboardInterrupt):
            house.ensure()
    assert not list((house.cache.root / "qemu").iterdir())
    waited: list[str] = []
    with house.cache.lock("qemu", waited.append):
        assert not waited
    assert house.ensure().version == "9.9.9"


def test_another_key_starts_from_clean_sources(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINJA_FAILS", "1")
    with pytest.raises(InfraError):
        house.ensure()
    mark = house.cache.root / "qemu-build" / "build" / "object.o"
    mark.write_text("of another key")
    house.recipe(configure=["--enable-more"])
    with pytest.raises(InfraError):
        house.ensure()
    assert not mark.exists()


def test_a_configure_that_fails_is_told(house: House) -> None:
    (house.root / "qemu" / "patches" / "0001-greet.patch").unlink()
    with pytest.raises(InfraError, match=r"ERROR: patches are missing"):
        house.ensure()


def test_a_patch_that_does_not_apply_is_named(house: House) -> None:
    (house.root / "qemu" / "patches" / "0002-again.patch").write_text(OURS)
    with pytest.raises(InfraError, match=r"0002-again\.patch does not apply") as caught:
        house.ensure()
    assert "greeting" in caught.value.message
    assert ninja_runs(house) == 0


def test_patches_apply_inside_an_enclosing_repository(house: House) -> None:
    """git apply skips files silently when it finds a repository above them."""
    house.cache.root.mkdir()
    house.door.run(["git", "init", "-q", house.root], timeout=30)
    house.ensure()


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


def test_a_version_that_is_not_the_recipes_is_refused(house: House) -> None:
    house.recipe(version="10.0.0")
    with pytest.raises(InfraError, match=r"says version 9\.9\.9"):
        house.ensure()


def test_missing_tools_are_told_before_work_begins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(data, "folder", lambda name: house.root / name)
    asked = [each for each in requirements.load() if each.name == "ninja"]
    monkeypatch.setattr(requirements, "missing", lambda each, door: requirements.Missing(tuple(asked)))
    with pytest.raises(InfraError, match="ninja") as caught:
        house.ensure()
    assert caught.value.hint.endswith("apt-get install -y ninja-build")
    assert not (house.cache.root / "qemu-build").exists()


def test_no_space_is_told_before_work_begins(house: House) -> None:
    house.recipe(space_gib=1e9)
    with pytest.raises(InfraError, match="are free"):
        house.ensure()
    assert not (house.cache.root / "qemu-build").exists()


def test_two_runs_at_once_build_once(house: House) -> None:
    results: list[Qemu] = []
    threads = [threading.Thread(target=lambda: results.append(house.ensure())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and len(set(results)) == 1
    assert ninja_runs(house) == 1


# --- the user's own -----------------------------------------------------------
NEEDS = {"kph-dma-pci": ("pasid-bits",), "intel-iommu": ("device-iotlb", "x-pri")}


def installed(house: House, at: str, text: str = EMULATOR) -> Path:
    program(house.root / "own" / at, text)
    return house.root / "own"


def judge(house: House, found: Qemu) -> None:
    qemu.check(found, "qemu-system-x86_64", NEEDS, house.door, "it")


@pytest.mark.parametrize("at", ["bin/qemu-system-x86_64", "qemu-system-x86_64"])
def test_the_users_prefix_or_build_directory_is_taken(house: House, at: str) -> None:
    found = house.ensure(installed(house, at))
    assert found.key == "user" and found.version == "9.9.9"
    judge(house, found)
    assert ninja_runs(house) == 0


def test_a_build_directory_keeps_its_firmware(house: House) -> None:
    own = installed(house, "qemu-system-x86_64")
    (own / "pc-bios").mkdir()
    (own / "pc-bios" / "bios.bin").write_text("bios")
    assert (house.ensure(own).folder / "share" / "qemu" / "bios.bin").read_text() == "bios"


def test_a_folder_without_qemu_is_refused(house: House) -> None:
    with pytest.raises(UserError, match=r"no bin/qemu-system-x86_64"):
        house.ensure(house.root / "qemu")


def test_a_binary_that_does_not_run_is_refused(house: House) -> None:
    with pytest.raises(UserError, match=r"does not run: cannot load libfoo"):
        house.ensure(installed(house, "bin/qemu-system-x86_64", "#!/bin/sh\necho cannot load libfoo; exit 127\n"))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace('name "kph-dma-pci"', 'name "edu"'), r"the device kph-dma-pci \(qemu/device\)"),
        (lambda text: text.replace("  x-pri=<bool>\\n", ""), r"intel-iommu\.x-pri \(0002-pri\.patch\)"),
    ],
)
def test_what_the_users_build_lacks_is_named_with_its_patch(
    house: House, edit: Callable[[str], str], words: str
) -> None:
    (house.root / "qemu" / "patches" / "0002-pri.patch").write_text('+    DEFINE_PROP_BOOL("x-pri", S, pri, false),\n')
    found = house.ensure(installed(house, "bin/qemu-system-x86_64", edit(EMULATOR)))
    with pytest.raises(UserError, match=words):
        judge(house, found)


# --- parsers and the real recipe ------------------------------------------------
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


def test_the_real_recipe_is_pinned_and_names_its_dsc() -> None:
    recipe = load()
    assert recipe.source.dsc == f"qemu_{recipe.source.version.partition(':')[2]}.dsc"
    assert len(recipe.source.dsc_sha256) == 64


def test_the_real_recipe_builds_the_emulators_of_all_targets() -> None:
    recipe = load()
    (listed,) = (word for word in recipe.configure if word.startswith("--target-list="))
    arches = [each.removesuffix("-softmmu") for each in listed.partition("=")[2].split(",")]
    assert [f"qemu-system-{arch}" for arch in arches] == list(recipe.targets)
    assert {f"--with-devices-{arch}=kph" for arch in arches} <= set(recipe.configure)
    assert {target.load(name).binary for name in target.known()} <= set(recipe.targets)


def test_a_wrong_recipe_names_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "build.yaml"
    file.write_text("version: 1\n")
    with pytest.raises(UserError, match=r"build\.yaml: .*source"):
        load(file)


def test_the_patch_that_adds_a_property_is_found(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "0001-a.patch").write_text('-    PROP("x-pri")\n')
    (tmp_path / "patches" / "0002-b.patch").write_text('+    PROP("x-pri")\n')
    assert patch_that_adds("x-pri", tmp_path) == "0002-b.patch"
    assert patch_that_adds("x", tmp_path) == ""
