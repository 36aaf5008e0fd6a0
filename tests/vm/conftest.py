"""Runs ``kph`` as a user does, on real kernels; caches are shared, evidence goes to the test's own folder."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.machine.shm import places

ROOT = Path(__file__).resolve().parent.parent.parent
SERIES = ROOT / "examples/driver-owned-pasid/v2.mbox"
LIMIT = 1700  # seconds; the first run of all builds QEMU and a kernel
ALL = "KPH_ALL" in os.environ  # `make vm-all`: also what is too slow for every `make test`


@dataclass(frozen=True)
class Ran:
    """A ``kph run`` that ended."""

    status: int  # exit status
    said: str  # standard output and error
    folder: Path  # run directory

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    def rows(self, target: str | None = None) -> dict[str, dict[str, Any]]:
        """The scenarios of the report, or of one of its targets, by id."""
        return {row["id"]: row for row in self.report["scenarios"] if target in (None, row["target"])}


@dataclass(frozen=True)
class Everything(Ran):
    """The one run of all."""

    junit: Path
    ktap: Path
    looks: tuple[int, ...]  # bytes that its machines took, a few times a second


Kph = Callable[..., Ran]


def argv(*words: str | Path) -> list[str]:
    """A ``kph`` command line of this checkout. It is asked to end when the test's process ends, whatever ended that."""
    return ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "harness.cli.main", *map(str, words)]


def call(*words: str | Path, root: Path = ROOT, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """Runs that command line to its end, in ``root``, and prints what it said; at most ``limit`` seconds."""
    done = subprocess.run(
        argv(*words),
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        check=False,
    )
    print(done.stdout)
    return done


@pytest.fixture
def kph(tmp_path: Path) -> Kph:
    """``kph(*options)`` runs ``kph run`` on Linux 7.3 and x86_64-vtd (others: pass ``tree``, ``target``).

    ``fresh``: nothing is taken from earlier runs. ``limit``: seconds after which it is killed.
    """
    return _runs(tmp_path)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """The reference series on Linux 7.3, every scenario and target, over serial: what many tests look at."""
    folder = tmp_path_factory.mktemp("everything")
    junit, ktap = folder / "r.xml", folder / "r.ktap"
    reports = [word for report in (f"junit={junit}", f"ktap={ktap}", "text") for word in ("--report", report)]
    with watched(str(folder)) as looks:
        ran = _runs(folder)("--series", SERIES, *reports, target="all")
    return Everything(ran.status, ran.said, ran.folder, junit, ktap, tuple(looks))


def _runs(folder: Path) -> Kph:
    def run(
        *words: str | Path,
        tree: str = "debian:7.3",
        target: str = "x86_64-vtd",
        name: str = "run",
        fresh: bool = True,
        limit: float = LIMIT,
    ) -> Ran:
        own = folder / name
        options: list[str | Path] = ["run", "--tree", tree, "--target", target, "--run-dir", own]
        options += ["--force"] if fresh else []
        done = call(*options, *words, limit=limit)
        return Ran(done.returncode, done.stdout, own)

    return run


@contextlib.contextmanager
def watched(of: str) -> Iterator[list[int]]:
    """What ``_memory`` says, five times a second."""
    seen, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.append(_memory(of))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _memory(of: str) -> int:
    """Bytes that processes which name ``of`` on their command lines have for themselves, and files in shared memory."""
    total = 0
    for file in (file for place in places() for file in place.glob("kph-memory-*/*")):
        with contextlib.suppress(OSError):  # it goes with its kernel's last worker
            total += file.stat().st_blocks * 512
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, StopIteration, ValueError):
            if entry.name.isdigit() and of in (entry / "cmdline").read_bytes().decode(errors="replace"):
                rollup = (entry / "smaps_rollup").read_text().splitlines()
                total += int(next(line for line in rollup if line.startswith("Pss_Anon:")).split()[1]) << 10
    return total


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/vm boots kernels."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.timeout(LIMIT + 60))
