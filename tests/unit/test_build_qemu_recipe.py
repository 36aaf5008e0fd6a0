"""The recipe of our QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.build.qemu_recipe import load, patch_that_adds
from harness.errors import UserError
from harness.machine import target


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
