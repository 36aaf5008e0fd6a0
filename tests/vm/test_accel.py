"""The guest that proves an accelerator is a good guest: under TCG, which runs on every host, it passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.build.qemu import ensure_qemu
from harness.cache import Cache
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.target import Accelerator, Target
from harness.proc import Door
from harness.ui import Ui


def _prove(target: Target, tcg: Accelerator, folder: Path) -> str:
    door = Door()
    qemu = ensure_qemu(Cache.default(), door, Ui(quiet=True), None, target)
    return accel.prove(tcg, target, qemu, Cache(folder), door)


@pytest.mark.parametrize("name", targets.known())
def test_the_guest_of_the_proof_ends_as_its_target_says(name: str, tmp_path: Path) -> None:
    target = targets.load(name)
    [tcg] = [each for each in target.accelerators if each.name == "tcg"]
    assert _prove(target, tcg, tmp_path) == ""


def test_addresses_wider_than_the_smmus_are_found(tmp_path: Path) -> None:
    wide = Accelerator(name="tcg", argv=("-cpu", "max"))
    reason = _prove(targets.load("arm64-smmuv3"), wide, tmp_path)
    assert reason.endswith("ended with status 0: its physical addresses are wider than the SMMU's")
