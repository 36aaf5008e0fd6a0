"""Scenarios on copies of one guest: each alone, several at a time, and what happens when copies do not work."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.campaign import copies, side
from harness.campaign.session import BootFailed, Frozen
from harness.campaign.side import SideResult, SideRunner, usual_jobs
from harness.errors import InfraError
from harness.machine.snapshot import SnapshotFailed
from harness.model import Outcome, Splat, SplatKind, Status
from harness.proc import Door
from harness.scenario import load as suites
from harness.ui import Ui

SUITE = suites.load_suite("sva")
SCENARIOS = SUITE.scenarios[:6]
IDS = [each.id for each in SCENARIOS]


class World:
    """Stands for machines; written down is which scenario ran on which guest."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []  # (guest's folder, scenario)
        self.running = self.most = 0
        self.guests = 0  # alive
        self.trouble: dict[str, list[BaseException | Outcome]] = {}  # scenario, "freeze" or "room" -> what happens
        self.faults: dict[str, str] = {}  # guest's folder -> why the host is to blame
        self.lock = threading.Lock()

    def meet(self, what: str) -> Outcome | None:
        with self.lock:
            due = self.trouble.get(what, [])
            next_ = due.pop(0) if due else None
        if isinstance(next_, BaseException):
            raise next_
        return next_


MADE = World()  # of the present test


class FakeSnapshot:
    note = ""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> FakeSnapshot:
        MADE.meet("room")
        return self

    def __exit__(self, *_: object) -> None:
        assert MADE.guests == 0, "guests are left before their files go"


class FakeSession:
    boot_seconds = 1.0

    def __init__(self, plan: object, evidence: Path, door: object, start: object = None) -> None:
        self.evidence, self.start = evidence, start

    def __enter__(self) -> FakeSession:
        MADE.meet(f"enter {self.evidence.name}")
        with MADE.lock:
            MADE.guests += 1
        return self

    def __exit__(self, *_: object) -> None:
        with MADE.lock:
            MADE.guests -= 1

    def freeze(self) -> Frozen:
        MADE.meet("freeze")
        return Frozen(self.start, {}, {}, 1.0)  # type: ignore[arg-type]

    def splats(self) -> tuple[Splat, ...]:
        return ()

    def host_fault(self) -> str:
        return MADE.faults.get(self.evidence.name, "")


class FakeOne:
    def __init__(self, *_: object) -> None: ...

    def run(self, guest: Any, scenario: Any, measured: dict[str, object], seen: int) -> Outcome:
        copied = isinstance(guest.start, Frozen)
        assert not (copied and (measured or seen)), "a copy has no past"
        measured["used"] = True
        with MADE.lock:
            MADE.ran.append((guest.evidence.name, scenario.id))
            MADE.running += 1
            MADE.most = max(MADE.most, MADE.running)
        time.sleep(0.02)
        with MADE.lock:
            MADE.running -= 1
        return MADE.meet(scenario.id) or Outcome(scenario.id, Status.PASS, "", 0.1, evidence=guest.evidence)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(sys.modules[__name__], "MADE", World())
    monkeypatch.setattr(side, "Snapshot", FakeSnapshot)
    monkeypatch.setattr(side, "Session", FakeSession)
    monkeypatch.setattr(copies, "Session", FakeSession)
    monkeypatch.setattr(side, "OneScenario", FakeOne)
    return MADE


Go = Callable[..., SideResult]


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def go(world: World, tmp_path: Path, told: io.StringIO) -> Go:
    def run(jobs: int, scenarios: Sequence[Any] = SCENARIOS) -> SideResult:
        choice = SimpleNamespace(accelerator=None)
        plan: Any = SimpleNamespace(qemu=None, target=None, guest=None, channel=None, choice=choice)
        ui = Ui(Console(file=told, width=200))
        return SideRunner(plan, SUITE, {}, "base", tmp_path, Door(), ui, jobs).run(scenarios)

    return run


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_scenario_has_a_copy_of_its_own(world: World, go: Go, jobs: int) -> None:
    result = go(jobs)
    assert [each.scenario for each in result.outcomes] == IDS, "in the order asked for"
    assert sorted(world.ran) == sorted((name, name) for name in IDS)
    assert (result.boots, world.most, world.guests) == (1, jobs, 0)


def test_without_copies_all_share_one_guest(world: World, go: Go) -> None:
    assert go(0).boots == 1
    assert world.ran == [("boot-1", name) for name in IDS]


def test_a_single_scenario_needs_no_copy(world: World, go: Go) -> None:
    assert go(2, SCENARIOS[:1]).boots == 1 and world.ran == [("boot-1", IDS[0])]


@pytest.mark.parametrize("where", ["room", "freeze"])
def test_where_a_guest_cannot_be_frozen_one_guest_does_for_all(
    world: World, go: Go, told: io.StringIO, where: str
) -> None:
    world.trouble[where] = [SnapshotFailed("dma0 is busy")]
    result = go(2)
    assert [each.status for each in result.outcomes] == [Status.PASS] * len(IDS)
    assert {guest for guest, _ in world.ran} == {f"boot-{result.boots}"}
    assert "base: dma0 is busy; one guest for all scenarios" in told.getvalue()
    assert world.guests == 0


def test_when_a_copy_does_not_start_the_rest_runs_on_a_booted_guest(world: World, go: Go, told: io.StringIO) -> None:
    world.trouble[f"enter {IDS[2]}"] = [SnapshotFailed("cannot start a copy")]
    result = go(1)
    assert [each.scenario for each in result.outcomes] == IDS
    assert world.ran == [*((name, name) for name in IDS[:2]), *(("boot-2", name) for name in IDS[2:])]
    assert "cannot start a copy" in told.getvalue()


def test_a_crash_costs_one_scenario(world: World, go: Go) -> None:
    splat = Splat(SplatKind.OOPS, "t", (), (), 1)
    world.trouble[IDS[1]] = [Outcome(IDS[1], Status.CRASH, "oops", 0.1, splats=(splat,))]
    result = go(2)
    assert [each.status for each in result.outcomes] == [Status.PASS, Status.CRASH, *[Status.PASS] * 4]
    assert result.boots == 1 and len(world.ran) == len(IDS)


def test_a_fault_of_the_host_is_tried_again_on_another_copy(world: World, go: Go, told: io.StringIO) -> None:
    world.trouble[IDS[1]] = [Outcome(IDS[1], Status.ERROR, "killed", 0.1)]
    world.faults[IDS[1]] = "QEMU was ended by SIGKILL"
    result = go(2)
    assert all(each.status is Status.PASS for each in result.outcomes)
    assert (f"{IDS[1]}.2", IDS[1]) in world.ran and "once more" in told.getvalue()


def test_a_fault_of_the_host_that_stays_is_an_error(world: World, go: Go) -> None:
    world.trouble[IDS[0]] = [Outcome(IDS[0], Status.ERROR, "killed", 0.1) for _ in range(5)]
    world.faults = {name: "QEMU was ended by SIGKILL" for name in (IDS[0], f"{IDS[0]}.2", f"{IDS[0]}.3")}
    assert go(1).outcomes[0].status is Status.ERROR
    assert [guest for guest, _ in world.ran[:4]] == [IDS[0], f"{IDS[0]}.2", f"{IDS[0]}.3", IDS[1]]


def test_a_kernel_that_does_not_boot_is_every_scenarios_result(world: World, go: Go) -> None:
    world.trouble["enter boot-1"] = [BootFailed(Status.CRASH, "the kernel dies in boot", ())]
    result = go(2)
    assert result.failure == "the kernel dies in boot" and not world.ran
    assert [(each.scenario, each.status) for each in result.outcomes] == [(name, Status.CRASH) for name in IDS]


def test_what_copies_found_is_kept_when_the_boot_for_the_rest_fails(world: World, go: Go) -> None:
    world.trouble[f"enter {IDS[1]}"] = [SnapshotFailed("no")]
    world.trouble["enter boot-2"] = [BootFailed(Status.HANG, "the kernel hangs in boot", ())]
    assert [each.status for each in go(1).outcomes] == [Status.PASS, *[Status.HANG] * 5]


def test_an_error_of_the_harness_ends_it(world: World, go: Go) -> None:
    world.trouble[f"enter {IDS[1]}"] = [InfraError("the run is being ended")]
    with pytest.raises(InfraError, match="being ended"):
        go(1)
    assert len(world.ran) == 1 and world.guests == 0


@pytest.mark.parametrize(("host", "kernels", "jobs"), [(2, 2, 1), (8, 2, 2), (16, 4, 2), (16, 2, 4), (1, 1, 1)])
def test_all_kernels_together_start_no_more_guests_than_the_cpus_carry(
    monkeypatch: pytest.MonkeyPatch, host: int, kernels: int, jobs: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(host)))
    assert usual_jobs(2, kernels) == jobs
