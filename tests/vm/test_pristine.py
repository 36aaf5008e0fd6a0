"""A pristine kernel for every scenario: a booted one and a copy give the same results, and copies cost little."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import target as targets
from harness.machine.shm import places
from tests.vm.conftest import ALL, SERIES, Kph, Ran

# One of each kind, a failing one among them; every one in `make vm-all`.
SOME = (
    "data-b*",
    "data-after-unbind",
    "enqcmd-global",
    "global-no-pasid-left",
    "life-k*",
    "motive-o*",
    "own-o*",
    "next-*",
)
MEMORY = 1536 << 20  # bytes that a run with two workers may take


def _told(ran: Ran) -> dict[tuple[str, str], tuple[str, str]]:
    """Scenario and side -> status and reason."""
    return {
        (name, side): (row[side]["status"], row[side]["reason"])
        for name, row in ran.rows().items()
        for side in ("base", "patched")
    }


@pytest.mark.parametrize("target", targets.known())
def test_a_guest_that_is_booted_gives_the_same_results_as_a_copy(kph: Kph, target: str) -> None:
    chosen = () if ALL else tuple(word for pattern in SOME for word in ("--scenario", pattern))
    words = ("--series", SERIES, *chosen)
    copies = kph(*words, target=target, name="copies")
    boots = kph(*words, "--no-snapshot", target=target, name="boots")
    assert copies.status == boots.status == 0
    assert _told(copies) == _told(boots) and {"pass", "fail", "skip"} == {status for status, _ in _told(boots).values()}
    (cell,), (booted,) = copies.report["targets"], boots.report["targets"]
    assert cell["facts"]["boots"] == {"base": 1, "patched": 1}
    for side in ("base", "patched"):
        ran = [row for row in boots.rows().values() if row[side]["status"] != "skip"]
        # Two workers may each have one that is skipped first, before either knows what the kernel has.
        assert len(ran) <= booted["facts"]["boots"][side] <= len(ran) + 2


def test_each_worker_takes_its_copy_back(kph: Kph) -> None:
    ran = kph("--scenario", "global-*", "--jobs", "1")
    assert ran.status == 0 and len(ran.rows()) > 10
    assert [each.name for each in sorted((ran.folder / "base").glob("copy-*"))] == ["copy-1"]


def test_what_went_wrong_has_the_logs_of_its_own_guest(kph: Kph) -> None:
    """A copy serves many scenarios; the evidence of one is what it did itself."""
    ran = kph("--scenario", "motive-*", "--scenario", "global-f*", "--jobs", "1")
    folder = Path(ran.rows()["motive-three-pasids-bound-elsewhere"]["base"]["evidence"])
    assert (folder / "replay.sh").exists()
    requests = (folder / "protocol.log").read_text()
    whole = (ran.folder / "base/copy-1/protocol.log").read_text()
    assert requests in whole and len(requests) < len(whole)
    assert '"narrow"' in requests


def _memory(of: str) -> int:
    """Bytes that processes which name ``of`` on their command lines have for themselves, and files in shared memory."""
    total = sum(file.stat().st_blocks * 512 for place in places() for file in place.glob("kph-memory-*/*"))
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, StopIteration, ValueError):
            if entry.name.isdigit() and of in (entry / "cmdline").read_bytes().decode(errors="replace"):
                rollup = (entry / "smaps_rollup").read_text().splitlines()
                total += int(next(line for line in rollup if line.startswith("Pss_Anon:")).split()[1]) << 10
    return total


@contextlib.contextmanager
def _watched(of: str) -> Iterator[list[int]]:
    """What ``_memory`` says, many times a second."""
    seen, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.append(_memory(of))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_two_workers_take_little_memory(kph: Kph, tmp_path: Path) -> None:
    with _watched(str(tmp_path)) as seen:
        assert kph("--series", SERIES, "--jobs", "2", "--scenario", "!sweep-[!o]*", "--scenario", "!race-*").status == 0
    print(f"{max(seen) >> 20} MiB at most, {len(seen)} looks")
    assert len(seen) > 50 and 200 << 20 < max(seen) < MEMORY


def test_copies_cost_less_than_boots(kph: Kph) -> None:
    """Not the benchmark, which wants a quiet machine; but where this does not hold, copies are not worth their code."""
    words = ("--scenario", "data-a*", "--scenario", "data-n*", "--jobs", "1")

    def seconds(*more: str) -> float:
        started = time.monotonic()
        assert kph(*words, *more, name=f"run{len(more)}").status == 0
        return time.monotonic() - started

    copies, boots = seconds(), seconds("--no-snapshot")
    print(f"{copies:.1f} s with copies, {boots:.1f} s with boots")
    assert copies < boots / 2
