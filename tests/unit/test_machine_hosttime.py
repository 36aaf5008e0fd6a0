"""What a busy host takes away from a machine is not the machine's time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine.hosttime import GuestClock

_SPIN = "import os\nos.sched_setaffinity(0, {int(os.environ['CPU'])})\nwhile True: pass"

counted = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="NOT RUN: this kernel does not count how long threads wait"
)


@pytest.fixture
def spinning() -> Iterator[list[int]]:
    """Pids of four processes that all want the same CPU."""
    cpu = str(min(os.sched_getaffinity(0)))
    command = [sys.executable, "-c", _SPIN]
    children = [subprocess.Popen(command, env={**os.environ, "CPU": cpu}) for _ in range(4)]
    time.sleep(0.5)
    yield [child.pid for child in children]
    for child in children:
        child.kill()
        child.wait()


@counted
def test_waiting_for_a_cpu_is_not_the_machines_time(spinning: list[int]) -> None:
    clock, wall = GuestClock(spinning[:1]), time.monotonic()
    began = clock.now()
    time.sleep(2.0)
    spent, wall = clock.now() - began, time.monotonic() - wall
    clock.close()
    assert 0.02 * wall < spent < 0.6 * wall, "a quarter, as far as the host is fair"


@counted
def test_the_thread_that_waits_longest_counts(spinning: list[int]) -> None:
    """One thread that sleeps has all the time; the one beside it has not."""
    clock, wall = GuestClock([os.getpid(), spinning[0]]), time.monotonic()
    began = clock.now()
    time.sleep(1.0)
    assert clock.now() - began < 0.7 * (time.monotonic() - wall)


def test_without_threads_it_is_wall_time_and_sleep_is_too() -> None:
    for clock in (GuestClock(), GuestClock([2**22 + 1])):
        wall, began = time.monotonic(), clock.now()
        clock.sleep(0.05)
        assert clock.now() - began == pytest.approx(time.monotonic() - wall, abs=0.01)


def test_a_machine_that_ended_does_not_stop_or_turn_back_the_clock(spinning: list[int]) -> None:
    clock = GuestClock(spinning[:1])
    time.sleep(0.2)
    seen = [clock.now()]
    os.kill(spinning[0], 9)
    for _ in range(5):
        time.sleep(0.05)
        seen.append(clock.now())
    assert seen == sorted(seen) and seen[-1] - seen[1] > 0.1
    clock.close()
    assert clock.now() >= seen[-1]
