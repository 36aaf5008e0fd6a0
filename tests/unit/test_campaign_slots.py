"""How many guests run at a time."""

from __future__ import annotations

import threading

import pytest

from harness.campaign.slots import Slots, usual


@pytest.mark.parametrize(
    ("cpus", "free_mib", "number"),
    [(2, 8000, 2), (16, 8000, 15), (16, 1100, 2), (1, 8000, 1), (4, 100, 1), (4, 0, 1)],
)
def test_a_guest_for_each_cpu_as_far_as_the_memory_goes(
    monkeypatch: pytest.MonkeyPatch, cpus: int, free_mib: int, number: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cpus)))
    assert usual(256, f"MemTotal: 1 kB\nMemAvailable:   {free_mib << 10} kB\n") == number


def test_no_more_are_busy_than_there_are_slots() -> None:
    slots, first, second = Slots(1), threading.Event(), threading.Event()

    def wait() -> None:
        first.set()
        with slots.busy():
            second.set()

    with slots.busy():
        thread = threading.Thread(target=wait)
        thread.start()
        assert first.wait(5) and not second.wait(0.05)
    assert second.wait(5)
    thread.join(5)
