"""What makes a kernel another kernel; what a make that was killed leaves behind is not taken for finished."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness import data
from harness.build import flavour, kconfig
from harness.build.artifact import content_key
from harness.build.slot import unfinished
from harness.errors import UserError
from harness.machine import target as targets
from harness.machine.target import KernelRecipe


def _file(file: Path, age: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_objects_of_a_build_that_was_cut_off_are_made_again(tmp_path: Path) -> None:
    old = _file(tmp_path / "mm/old.o", 100)
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path):
        raise KeyboardInterrupt
    half = _file(tmp_path / "mm/half.o", -1)
    header = _file(tmp_path / "include/generated/x.h", -1)
    deps = _file(tmp_path / "mm/.half.o.cmd", -1)
    with unfinished(tmp_path):
        assert not half.exists()
        assert old.exists() and header.exists() and deps.exists()


def test_a_build_that_ended_leaves_nothing_to_undo(tmp_path: Path) -> None:
    with unfinished(tmp_path):
        made = _file(tmp_path / "vmlinux", -1)
    with unfinished(tmp_path):
        assert made.exists()


def _key(*fragments: str, recipe: KernelRecipe | None = None) -> str:
    wanted = kconfig.merge({f"{number}.config": text for number, text in enumerate(fragments)})
    return content_key("tree", recipe or targets.load("x86_64-vtd").kernel, "gcc 12", wanted)


def test_a_comment_in_a_fragment_costs_no_build() -> None:
    plain = _key("CONFIG_A=y\nCONFIG_B=y\n", "CONFIG_C=y\n")
    assert plain == _key("# why\nCONFIG_B=y\n\nCONFIG_A=y\n", "CONFIG_C=y\n")
    assert plain == _key("CONFIG_A=y\n", "CONFIG_B=y\nCONFIG_C=y\n"), "the file that asks does not matter"


@pytest.mark.parametrize(
    "other",
    [
        "CONFIG_A=y\n",
        "CONFIG_A=y\nCONFIG_B=m\n",
        "CONFIG_A=y\n# CONFIG_B is not set\n",
        "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n",
    ],
)
def test_another_option_is_another_kernel(other: str) -> None:
    assert _key("CONFIG_A=y\nCONFIG_B=y\n") != _key(other)


def test_the_command_line_is_the_machines_and_the_compiler_the_kernels() -> None:
    recipe = targets.load("x86_64-vtd").kernel
    assert _key("CONFIG_A=y\n") == _key("CONFIG_A=y\n", recipe=recipe.model_copy(update={"cmdline": ("quiet",)}))
    for change in ({"make_arch": "arm64"}, {"cross_compile": "x-"}, {"goal": "other"}, {"image": "other"}):
        assert _key("CONFIG_A=y\n") != _key("CONFIG_A=y\n", recipe=recipe.model_copy(update=change))


def test_a_flavour_adds_what_fits_to_the_targets_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "iommu-a", "iommu-b", "flavour-kunit", "flavour-kunit.iommu-a", "flavour-plain"):
        (tmp_path / f"{name}.config").write_text(f"# {name}: a test\n")
    monkeypatch.setattr(data, "folder", lambda _: tmp_path)
    assert flavour.flavours() == ("base", "kunit", "plain")

    def names(fragment: str, chosen: str) -> list[str]:
        return [file.stem for file in flavour.fragments(("base", fragment), chosen)]

    assert names("iommu-a", "base") == ["base", "iommu-a"]
    assert names("iommu-a", "kunit") == ["base", "iommu-a", "flavour-kunit", "flavour-kunit.iommu-a"]
    assert names("iommu-b", "kunit") == ["base", "iommu-b", "flavour-kunit"]
    assert names("iommu-a", "plain") == ["base", "iommu-a", "flavour-plain"]
    both = ["base", "iommu-a", "flavour-kunit", "flavour-kunit.iommu-a", "flavour-plain"]
    assert names("iommu-a", "kunit+plain") == both
    with pytest.raises(UserError, match="no kernel-config fragment 'iommu-c'"):
        names("iommu-c", "kunit")


def test_flavours_are_chosen_with_commas_and_joined_with_plus() -> None:
    assert flavour.choose(["kasan, lockdep+leak", "base", "kasan"]) == ("kasan", "lockdep+leak", "base")
    for wrong in ("kasn", "kasan,,leak", "kasan+", "base+kasan", ""):
        with pytest.raises(UserError, match="there is no flavour"):
            flavour.choose([wrong])
    with pytest.raises(UserError) as error:
        flavour.choose(["kasn"])
    assert "did you mean kasan?" in error.value.hint


def test_every_part_of_a_flavour_belongs_to_a_fragment() -> None:
    folder = data.folder("kernel-configs")
    parts = [file.stem.removeprefix("flavour-").split(".", 1) for file in folder.glob("flavour-*.*.config")]
    assert ["kunit", "iommu-smmuv3"] in parts
    for name, fragment in parts:
        assert name in flavour.flavours() and (folder / f"{fragment}.config").is_file()
