"""The machine of these tests: our QEMU, built when the cache lacks it."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness.build import qemu as builds
from harness.cache import Cache
from harness.machine import target as targets
from harness.model import Qemu
from harness.proc import Door
from harness.ui import Ui
from tests.vm.smmuv3.bench import Wiring
from tests.vm.smmuv3.lab import Lab, OpenLab, open_lab


@pytest.fixture(scope="session")
def emulator() -> Qemu:
    """Our QEMU, which has the devices and properties of the target."""
    return builds.ensure_qemu(Cache.default(), Door(), Ui(quiet=True), None, targets.load("arm64-smmuv3"))


@pytest.fixture
def lab(emulator: Qemu, tmp_path: Path) -> OpenLab:
    """``with lab(wiring, stall=..., entry=..., events_log2=...) as it``: a machine, each time another."""
    numbers = itertools.count()

    def opened(wiring: Wiring | None = None, **more: Any) -> AbstractContextManager[Lab]:
        return open_lab(emulator, tmp_path / str(next(numbers)), wiring, **more)

    return opened
