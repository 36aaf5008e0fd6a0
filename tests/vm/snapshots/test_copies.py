"""Copies are private, whole, quick to start, and do not notice."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.machine.snapshot import SnapshotFailed
from harness.scenario.link import GuestLost
from tests.vm.snapshots.frozen import Made, transfer, uptime

# Of a boot, which a slow or busy host makes longer as well. Quiet ones: 0.11, 0.07 over serial, 0.40, 0.35 over SSH.
_PART = {"serial": 0.25, "ssh": 0.7}
_MEMORY = 1536 << 20  # bytes that a snapshot and two copies may take together


def test_copies_do_dma_and_share_nothing_that_they_write(made: Made) -> None:
    before = hashlib.sha256(made.memory.read_bytes()).digest()
    pasids = []
    for name in ("one", "two"):
        with made.copy(name) as (link, vm):
            assert link.call("bonds", {}, "alice")["count"] == 0
            pasids.append(link.call("bind", {"device": "dma0"}, "alice")["pasid"])
            assert link.call("bonds", {}, "alice")["count"] == 1
            assert link.call("reset")["ret"] == 0
            transfer(link)
        assert not vm.console.watch().splats, vm.console.since(0)
        assert (vm.evidence / "trace.log").exists()
    assert pasids[0] == pasids[1], "both start where the guest was saved"
    assert hashlib.sha256(made.memory.read_bytes()).digest() == before


def test_a_transfer_waits_for_its_page_in_a_copy_as_in_any_guest(made: Made) -> None:
    """Page requests and stalls: their queues and interrupts are part of the state."""
    with made.copy("pages") as (link, _):
        link.call("clear_counters", {"device": "dma0"})
        transfer(link)
        assert int(link.call("counters", {"device": "dma0"})["page_requests"]) >= 1


def test_the_guests_clock_stands_still(made: Made) -> None:
    time.sleep(2)
    with made.copy("clock") as (link, vm):
        assert 0 <= uptime(link) - made.uptime < 1.8, "a jump is what wakes the watchdogs"
    assert not vm.console.watch().splats


def _timed(made: Made, name: str) -> tuple[float, int]:
    """Seconds to the first answer, and the memory that the copy alone takes."""
    started = time.monotonic()
    with made.copy(name) as (link, vm):
        assert link.call("ping", {"nonce": name})["nonce"] == name
        seconds = time.monotonic() - started
        assert vm._process is not None
        rollup = Path(f"/proc/{vm._process.pid}/smaps_rollup").read_text()
        return seconds, sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) << 10


def test_twenty_copies_one_after_the_other(made: Made) -> None:
    assert made.shot.saved is not None
    assert made.shot.saved.state < 4 << 20, "the memory is not in it"
    seconds = [_timed(made, f"row-{number}")[0] for number in range(20)]
    print(f"restore to answer: median {statistics.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f}")
    print(f"boot: {made.boot:.3f} s")
    assert statistics.median(seconds) < _PART["ssh" if made.guest.ssh else "serial"] * made.boot


def test_two_copies_at_a_time(made: Made) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda number: _timed(made, f"pair-{number}"), range(10)))
    base = made.memory.stat().st_blocks * 512
    most = base + 2 * max(each for _, each in found)
    print(f"two at a time: median {statistics.median(each for each, _ in found):.3f} s; {most >> 20} MiB with the base")
    assert most < _MEMORY


def test_a_panic_costs_one_copy(made: Made) -> None:
    with made.copy("panics") as (link, vm):
        with pytest.raises(GuestLost):
            link.call("panic")
            link.call("facts", deadline=5)
        vm.wait_end(5)
        assert vm.console.panic()
    with made.copy("lives") as (link, vm):
        assert link.call("ping")["ret"] == 0 and not vm.console.panic()


def test_a_state_that_does_not_load_is_told_and_leaves_nothing(made: Made, tmp_path: Path) -> None:
    state = made.shot._folder / "state"
    whole = state.read_bytes()
    damages: list[Callable[[bytes], bytes]] = [lambda each: each[: len(each) // 2], lambda each: b"?" + each[1:]]
    for damage in damages:
        state.write_bytes(damage(whole))
        try:
            with (
                pytest.raises(SnapshotFailed, match="cannot start a copy of the guest: "),
                made.shot.copy(tmp_path / "bad"),
            ):
                pytest.fail("the block must not run")
        finally:
            state.write_bytes(whole)
    with made.copy("good") as (link, _):
        assert link.call("ping")["ret"] == 0
