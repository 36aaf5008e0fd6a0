"""Ctrl-C, SIGTERM and SIGKILL at any moment, and two runs at once: nothing is lost, nothing is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import LIMIT, ROOT, SERIES, Kph, argv

_END = 20.0  # seconds from a signal to the end of everything


@contextlib.contextmanager
def _running(folder: Path, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    options: list[str | Path] = [
        "run",
        "--force",
        "--tree",
        "debian:7.3",
        "--target",
        "x86_64-vtd",
        "--series",
        SERIES,
        "--run-dir",
        folder,
    ]
    log = (folder.parent / f"{folder.name}.log").open("w+")
    # A test run in the background ignores SIGINT, and its children would inherit that.
    command = ["env", "--default-signal=INT", *argv(*options, *words)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        log.close()


def _children(folder: Path) -> list[str]:
    """Command lines of processes that name the run directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in line:
                    found.append(line)
    return found


def _wait_for(check: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(check) and check():
            return True
        time.sleep(0.1)
    return False


def _mutated(folder: Path) -> Path:
    """A harmless patch with a content of its own, so that a kernel must be built."""
    patch = folder / "fresh.patch"
    patch.write_text(
        "Subject: [PATCH] iommu/sva: say the time\n\n---\n"
        "diff --git a/drivers/iommu/iommu-sva.c b/drivers/iommu/iommu-sva.c\n"
        "--- a/drivers/iommu/iommu-sva.c\n+++ b/drivers/iommu/iommu-sva.c\n"
        f"@@ -1,3 +1,4 @@\n // SPDX-License-Identifier: GPL-2.0\n /*\n+ * {time.time_ns()}\n"
        "  * Helpers for IOMMU drivers implementing SVA\n"
    )
    return patch


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("kernel", signal.SIGINT),
        ("kernel", signal.SIGKILL),
        ("boot", signal.SIGINT),
        ("scenarios", signal.SIGTERM),
        ("scenarios", signal.SIGKILL),
    ],
)
def test_a_signal_ends_everything_and_the_next_run_works(
    kph: Kph, tmp_path: Path, phase: str, number: signal.Signals
) -> None:
    folder = tmp_path / "cut"
    signs = {
        "kernel": (folder / "build-patched.log").exists,
        "boot": (folder / "base/boot-1/console.log").exists,
        "scenarios": (folder / "base/boot-1/protocol.log").exists,
    }
    # What comes after the build is cut where kernels are at hand: there is nothing to wait for.
    fresh = ("--series", _mutated(tmp_path)) if phase == "kernel" else ()
    with _running(folder, *fresh) as child:
        assert _wait_for(signs[phase], LIMIT), "the phase never came"
        child.send_signal(number)
        assert _wait_for(lambda: child.poll() is not None, _END)
        assert child.returncode == (-number if number == signal.SIGKILL else 130)
    assert _wait_for(lambda: not _children(folder), _END), _children(folder)
    assert kph("--series", SERIES, "--scenario", "global-first-bind").status == 0


def test_two_runs_at_once_share_the_caches(tmp_path: Path) -> None:
    """Both build the same new kernel: one waits, then finds it."""
    patch = _mutated(tmp_path)
    words = ("--series", patch, "--scenario", "*first-bind")
    with _running(tmp_path / "one", *words) as one, _running(tmp_path / "two", *words) as two:
        assert one.wait(LIMIT) == 0 and two.wait(LIMIT) == 0
    built = [folder for folder in ("one", "two") if (tmp_path / folder / "build-patched.log").exists()]
    assert len(built) == 1
