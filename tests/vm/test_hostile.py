"""Guests and machines that misbehave: bounded memory and disk, the right verdict, the log kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness.campaign.session import Session
from harness.machine import console
from harness.machine import target as targets
from tests.splats import take
from tests.vm.conftest import ALL, ROOT, Kph

BROKEN = ROOT / "tests/data/broken"
SOON = 90.0  # seconds for the patched side: the deadline of a bind, and what a flood delays
LOG = (console.HEAD + console.TAIL) * 1.01  # bytes of console that are kept at most

builds = pytest.mark.skipif(not ALL, reason="NOT RUN: builds a kernel and waits for a hang; make vm-all has it")


def _patched(report: dict[str, object], scenario: str) -> dict[str, object]:
    rows = report["scenarios"]
    assert isinstance(rows, list)
    (row,) = (each for each in rows if each["id"] == scenario)
    found: dict[str, object] = row["patched"]
    return found


@builds
@pytest.mark.parametrize("target", ["x86_64-vtd", "arm64-smmuv3"])
def test_a_kernel_that_prints_without_end(kph: Kph, target: str) -> None:
    """Control characters, and lines that look like replies and results: it still is a hang, soon."""
    ran = kph("--series", BROKEN / "flood-in-bind.patch", "--scenario", "global-first-bind", target=target)
    assert ran.status == 1
    flooded = _patched(ran.report, "global-first-bind")
    assert flooded["status"] == "hang" and "bind" in str(flooded["reason"])
    log = Path(str(flooded["evidence"])) / "console.log"
    text = log.read_bytes()
    assert len(text) < LOG and b"Linux version" in text[:2000] and text.count(b"ok 1 - everything") > 100
    phases = [each for each in ran.report["timings"] if (each["name"], each["side"]) == ("scenarios", "patched")]
    assert sum(each["seconds"] for each in phases) < SOON


@builds
def test_a_kernel_that_reboots(kph: Kph) -> None:
    ran = kph("--series", BROKEN / "reboot-in-bind.patch", "--scenario", "global-first-bind")
    assert ran.status == 1
    row = _patched(ran.report, "global-first-bind")
    assert row["status"] == "crash" and "powered off or rebooted" in str(row["reason"])


@pytest.mark.parametrize("target", targets.known())
def test_what_a_kernel_says_last_is_read(target: str, tmp_path: Path) -> None:
    """Its console prints in a thread of its own, which is behind when the last call of a scenario returns."""
    with (
        take.failing(target, "base") as made,
        Session(made.plan, tmp_path, made.door, made.frozen) as guest,
    ):
        begin = guest.mark()
        guest.call("sysrq", {"key": "t"})
        guest.call("write_file", {"path": "/dev/kmsg", "text": "<3>BUG: the last word\n"})
        assert "the last word" not in guest.console_since(begin), "too little was said before it"
        assert guest.drain()
        guest.halt()
        assert "BUG: the last word" in guest.console_since(begin)


def _machines(folder: Path) -> list[int]:
    """Pids of the QEMU processes whose logs are in ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if b"qemu-system" in line and str(folder).encode() in line:
            found.append(int(entry.name))
    return found


class _Killer:
    """Kills machines of a run: the first one, or every one."""

    def __init__(self, folder: Path, *, all_of_them: bool) -> None:
        self._folder, self._all = folder, all_of_them
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill, daemon=True)
        self.killed: set[int] = set()

    def __enter__(self) -> _Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        while not self._over.wait(0.05):
            for pid in _machines(self._folder):
                if pid not in self.killed and (self._all or not self.killed):
                    time.sleep(0.3)  # let it come somewhere
                    os.kill(pid, signal.SIGSEGV)
                    self.killed.add(pid)


def test_a_qemu_that_dies_once_costs_nothing(kph: Kph, tmp_path: Path) -> None:
    with _Killer(tmp_path / "run", all_of_them=False) as killer:
        ran = kph("--scenario", "global-*bind*")
    assert killer.killed and ran.status == 0
    assert {row["base"]["status"] for row in ran.rows().values()} == {"pass"}
    assert "SIGSEGV" in ran.said and "once more" in ran.said


def test_a_qemu_that_dies_every_time_is_the_hosts_fault(kph: Kph, tmp_path: Path) -> None:
    with _Killer(tmp_path / "run", all_of_them=True) as killer:
        ran = kph("--scenario", "global-first-bind")
    assert len(killer.killed) == 3
    assert ran.status == 3, "not a failure of the kernel"
    assert "SIGSEGV" in ran.said
