"""Building QEMU from a small fake source package."""

from __future__ import annotations

import threading

import pytest

from harness import data, requirements
from harness.build import qemu
from harness.errors import InfraError
from harness.model import Qemu
from tests.unit.qemu_house import EMULATOR, EXTRA, OURS, House, ninja_runs


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
