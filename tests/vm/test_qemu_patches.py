"""Each patch to QEMU that is called necessary: without it a named scenario fails, for the true reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.vm.conftest import ROOT, Ran, call

TABLE: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "qemu-patches.yaml").read_text())
PARTS = ("harness", "kernel-configs", "test-modules", "qemu", "examples", "pyproject.toml", "README.md")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what kph is made of, so that a patch can be left out."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tmp_path / "kph" / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, tmp_path / "kph" / part)
    return tmp_path / "kph"


@pytest.mark.skipif("KPH_ALL_PATCHES" not in os.environ, reason="builds QEMU anew each time: make qemu-patches")
@pytest.mark.parametrize("number", sorted(TABLE))
def test_without_the_patch_something_fails(copy: Path, tmp_path: Path, number: str) -> None:
    (patch,) = (copy / "qemu/patches").glob(f"{number}-*.patch")
    patch.unlink()
    scenario = TABLE[number]["scenario"]
    words = ["run", "--tree", "debian:7.3", "--run-dir", str(tmp_path / "run"), "--accel", "tcg"]
    words += ["--target", TABLE[number].get("target", "x86_64-vtd")]
    done = call(*words, "--scenario", scenario or "global-first-bind", root=copy)
    if scenario is None:
        assert done.returncode in (2, 3)
        assert TABLE[number]["reason"] in done.stdout
        return
    row = Ran(done.returncode, done.stdout, tmp_path / "run").rows()[scenario]
    assert done.returncode in (1, 3) and row["base"]["status"] in ("fail", "hang", "crash", "skip")
    assert TABLE[number]["reason"] in row["base"]["reason"]


def test_the_table_knows_every_patch() -> None:
    """A patch is in the table, or the table says in its head why it is not."""
    head = (Path(__file__).parent / "qemu-patches.yaml").read_text()
    for patch in (ROOT / "qemu/patches").glob("*.patch"):
        assert patch.name[:4] in head, f"{patch.name} is neither in the table nor excused"
