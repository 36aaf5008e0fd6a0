"""Judging the user's own build of QEMU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.build import qemu
from harness.errors import UserError
from harness.model import Qemu
from tests.unit.qemu_house import EMULATOR, House, ninja_runs, program

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
