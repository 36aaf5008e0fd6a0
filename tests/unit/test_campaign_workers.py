"""Scenarios on pristine guests: copies that are taken back, and what happens when copies do not work."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.campaign import boots, side, workers
from harness.campaign.guest import BootFailed, Frozen
from harness.campaign.result import SideResult
from harness.campaign.side import SideRunner
from harness.campaign.slots import Slots
from harness.errors import InfraError
from harness.machine.snapshot import SnapshotFailed
from harness.model import Outcome, Splat, SplatKind, Status
from harness.proc import Door
from harness.scenario import load as suites
from harness.scenario.steps import StepFailed
from harness.ui import Ui

SUITE = suites.load_suite("sva")
SCENARIOS = SUITE.scenarios[:6]
IDS = [each.id for each in SCENARIOS]


class World:
    """Stands for machines; written down is which scenario ran on which guest."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []  # (guest's folder, scenario)
        self.running = self.most = 0
        self.guests = self.most_guests = 0  # alive
        self.meeting: threading.Barrier | None = None  # where each scenario waits for the others
        self.ssh = False  # whether copies connect anew
        self.skips: set[str] = set()  # scenarios that can tell nothing on this kernel
        self.rewinds = True  # whether a copy can be taken back
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
    facts: Mapping[str, object] = {"kernel": "this one"}
    boot_seconds = 1.0
    halted = False

    def __init__(self, plan: object, evidence: Path, door: object, start: object = None) -> None:
        self.evidence, self.start = evidence, start
        self.drained = False

    def __enter__(self) -> FakeSession:
        MADE.meet(f"enter {self.evidence.name}")
        with MADE.lock:
            MADE.guests += 1
            MADE.most_guests = max(MADE.most_guests, MADE.guests)
        return self

    def __exit__(self, *_: object) -> None:
        with MADE.lock:
            MADE.guests -= 1

    def freeze(self, measured: Any) -> Frozen:
        MADE.meet("freeze")
        return Frozen(self.start, {}, self.facts, 1.0, measured)  # type: ignore[arg-type]

    def rewind(self) -> None:
        assert self.halted
        self.halted = False
        MADE.meet(f"rewind {self.evidence.name}")

    def drain(self) -> bool:
        self.drained = True
        return True

    def splats(self) -> tuple[Splat, ...]:
        assert self.drained
        return ()

    def host_fault(self) -> str:
        return MADE.faults.get(self.evidence.name, "")


class FakeOne:
    def __init__(self, *_: object) -> None: ...

    def measure(self, guest: Any) -> dict[str, object]:
        MADE.meet("measure")
        return {"oracle": 1}

    def skipped(self, scenario: Any, facts: Mapping[str, object]) -> Outcome | None:
        assert facts == FakeSession.facts
        return Outcome(scenario.id, Status.SKIP, "no", 0.0) if scenario.id in MADE.skips else None

    def run(self, guest: Any, scenario: Any, measured: object) -> Outcome:
        copied = isinstance(guest.start, Frozen)
        assert measured == ({"oracle": 1} if copied and not MADE.ssh else None)
        assert not guest.halted, "it was taken back"
        with MADE.lock:
            MADE.ran.append((guest.evidence.name, scenario.id))
            MADE.running += 1
            MADE.most = max(MADE.most, MADE.running)
        time.sleep(0.02)
        if MADE.meeting:
            MADE.meeting.wait()
        with MADE.lock:
            MADE.running -= 1
        guest.halted = copied and MADE.rewinds
        return MADE.meet(scenario.id) or Outcome(scenario.id, Status.PASS, "", 0.1, evidence=guest.evidence)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(sys.modules[__name__], "MADE", World())
    monkeypatch.setattr(side, "Snapshot", FakeSnapshot)
    monkeypatch.setattr(boots, "Session", FakeSession)
    monkeypatch.setattr(workers, "Session", FakeSession)
    monkeypatch.setattr(side, "OneScenario", FakeOne)
    return MADE


Go = Callable[..., SideResult]


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def go(world: World, tmp_path: Path, told: io.StringIO) -> Go:
    def run(
        jobs: int | Slots, scenarios: Sequence[Any] = SCENARIOS, *, snapshot: bool = True, ssh: object = None
    ) -> SideResult:
        choice = SimpleNamespace(accelerator=None)
        plan: Any = SimpleNamespace(qemu=None, target=None, guest=SimpleNamespace(ssh=ssh), channel=None, choice=choice)
        ui = Ui(Console(file=told, width=200))
        slots = Slots(jobs) if isinstance(jobs, int) else jobs
        runner = SideRunner(plan, SUITE, {}, "base", tmp_path, Door(), ui, slots, snapshot)
        return runner.run(scenarios)

    return run


def _guests(world: World) -> list[str]:
    return [guest for guest, _ in world.ran]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_worker_has_a_copy_that_is_taken_back(world: World, go: Go, jobs: int) -> None:
    result = go(jobs)
    assert [each.scenario for each in result.outcomes] == IDS, "in the order asked for"
    assert sorted(name for _, name in world.ran) == sorted(IDS)
    assert set(_guests(world)) == {f"copy-{number + 1}" for number in range(jobs)}
    assert (result.boots, world.most, world.guests) == (1, jobs, 0)


def test_where_copies_connect_anew_oracles_are_measured_on_each(world: World, go: Go) -> None:
    world.ssh = True
    world.trouble["measure"] = [AssertionError("a connection takes memory of the kernel's")]
    assert all(each.status is Status.PASS for each in go(1, ssh="keys").outcomes)


def test_with_a_qemu_that_cannot_go_back_each_scenario_has_a_new_copy(world: World, go: Go) -> None:
    world.rewinds = False
    assert go(1).boots == 1
    assert world.ran == [(f"copy-{number}", name) for number, name in enumerate(IDS, 1)]


def test_when_going_back_fails_a_new_copy_takes_over(world: World, go: Go, told: io.StringIO) -> None:
    world.trouble["rewind copy-1"] = [SnapshotFailed("cannot go back")]
    result = go(1)
    assert all(each.status is Status.PASS for each in result.outcomes)
    assert _guests(world) == ["copy-1", *["copy-2"] * 5] and "cannot go back" in told.getvalue()


def test_without_snapshots_each_scenario_is_booted_for(world: World, go: Go) -> None:
    assert go(1, snapshot=False).boots == len(IDS)
    assert world.ran == [(f"boot-{number}", name) for number, name in enumerate(IDS, 1)]


@pytest.mark.parametrize("snapshot", [True, False])
def test_what_can_tell_nothing_needs_no_guest(world: World, go: Go, snapshot: bool) -> None:
    world.skips = {IDS[1], IDS[4]}
    result = go(1, snapshot=snapshot)
    assert [each.status is Status.SKIP for each in result.outcomes] == [name in world.skips for name in IDS]
    assert not world.skips & {name for _, name in world.ran}
    assert result.boots == (1 if snapshot else 4)


def test_boots_go_on_beside_each_other(world: World, go: Go) -> None:
    assert go(2, snapshot=False).boots == len(IDS)
    assert world.most == 2 and len(set(_guests(world))) == len(IDS)


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2), (3, 3)])
def test_two_kernels_have_no_more_guests_than_one_may_have(world: World, go: Go, jobs: int, most: int) -> None:
    slots = Slots(jobs)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: go(slots, snapshot=False), range(2)))
    assert all([each.scenario for each in result.outcomes] == IDS for result in results)
    assert world.most <= world.most_guests <= most


def test_one_scenario_on_two_kernels_runs_on_both_at_a_time(world: World, go: Go) -> None:
    world.meeting = threading.Barrier(2, timeout=5)
    slots = Slots(2)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: go(slots, SCENARIOS[:1]), range(2)))
    assert [each.outcomes[0].status for each in results] == [Status.PASS] * 2


def test_a_single_scenario_needs_no_copy(world: World, go: Go) -> None:
    assert go(2, SCENARIOS[:1]).boots == 1 and world.ran == [("boot-1", IDS[0])]


@pytest.mark.parametrize("where", ["room", "freeze", "measure"])
def test_where_a_guest_cannot_be_frozen_each_scenario_is_booted_for(
    world: World, go: Go, told: io.StringIO, where: str
) -> None:
    world.trouble[where] = [StepFailed("dma0 is busy") if where == "measure" else SnapshotFailed("dma0 is busy")]
    result = go(2)
    assert [each.status for each in result.outcomes] == [Status.PASS] * len(IDS)
    assert all(guest.startswith("boot-") for guest in _guests(world)) and len(set(_guests(world))) == len(IDS)
    assert "dma0 is busy; a guest is booted for each scenario" in told.getvalue()
    assert world.guests == 0


def test_when_a_copy_does_not_start_the_rest_is_booted_for(world: World, go: Go, told: io.StringIO) -> None:
    world.rewinds = False
    world.trouble["enter copy-3"] = [SnapshotFailed("cannot start a copy")]
    result = go(1)
    assert [each.scenario for each in result.outcomes] == IDS
    assert _guests(world) == ["copy-1", "copy-2", "boot-2", "boot-3", "boot-4", "boot-5"]
    assert "cannot start a copy" in told.getvalue()


def test_a_crash_costs_one_scenario(world: World, go: Go) -> None:
    splat = Splat(SplatKind.OOPS, "t", (), (), 1)
    world.trouble[IDS[1]] = [Outcome(IDS[1], Status.CRASH, "oops", 0.1, splats=(splat,))]
    result = go(1)
    assert [each.status for each in result.outcomes] == [Status.PASS, Status.CRASH, *[Status.PASS] * 4]
    assert result.boots == 1 and _guests(world) == [*["copy-1"] * 2, *["copy-2"] * 4]


def test_after_a_splat_a_guest_is_not_taken_back(world: World, go: Go) -> None:
    splat = Splat(SplatKind.WARN, "t", (), (), 1)
    world.trouble[IDS[0]] = [Outcome(IDS[0], Status.PASS, "", 0.1, splats=(splat,))]
    go(1)
    assert _guests(world) == ["copy-1", *["copy-2"] * 5]


def test_a_fault_of_the_host_is_tried_again_on_another_copy(world: World, go: Go, told: io.StringIO) -> None:
    world.trouble[IDS[1]] = [Outcome(IDS[1], Status.ERROR, "killed", 0.1)]
    world.faults["copy-1"] = "QEMU was ended by SIGKILL"
    result = go(1)
    assert all(each.status is Status.PASS for each in result.outcomes)
    assert ("copy-2", IDS[1]) in world.ran and "once more" in told.getvalue()


def test_a_fault_of_the_host_that_stays_is_an_error(world: World, go: Go) -> None:
    world.trouble[IDS[0]] = [Outcome(IDS[0], Status.ERROR, "killed", 0.1) for _ in range(5)]
    world.faults = {f"copy-{number}": "QEMU was ended by SIGKILL" for number in (1, 2, 3)}
    assert go(1).outcomes[0].status is Status.ERROR
    assert world.ran[:4] == [(f"copy-{number}", IDS[0]) for number in (1, 2, 3)] + [("copy-4", IDS[1])]


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_kernel_that_does_not_boot_is_every_scenarios_result(world: World, go: Go, snapshot: bool) -> None:
    world.trouble["enter boot-1"] = [BootFailed(Status.CRASH, "the kernel dies in boot", ())]
    result = go(1, snapshot=snapshot)
    assert result.failure == "the kernel dies in boot" and not world.ran
    assert [(each.scenario, each.status) for each in result.outcomes] == [(name, Status.CRASH) for name in IDS]


def test_a_boot_is_tried_again_when_the_host_was_at_fault(world: World, go: Go, told: io.StringIO) -> None:
    fault = BootFailed(Status.CRASH, "the kernel dies in boot", (), "no timer")
    world.trouble["enter boot-1"] = [fault]
    assert go(1).boots == 2 and "the host's fault, not the kernel's: no timer; once more" in told.getvalue()
    world.trouble = {f"enter boot-{number}": [fault] for number in (1, 2, 3)}
    with pytest.raises(InfraError, match="the host keeps the guest from booting: no timer"):
        go(1)


def test_what_copies_found_is_kept_when_the_boot_for_the_rest_fails(world: World, go: Go) -> None:
    world.rewinds = False
    world.trouble["enter copy-2"] = [SnapshotFailed("no")]
    world.trouble["enter boot-2"] = [BootFailed(Status.HANG, "the kernel hangs in boot", ())]
    assert [each.status for each in go(1).outcomes] == [Status.PASS, *[Status.HANG] * 5]


def test_an_error_of_the_harness_ends_it(world: World, go: Go) -> None:
    world.rewinds = False
    world.trouble["enter copy-2"] = [InfraError("the run is being ended")]
    with pytest.raises(InfraError, match="being ended"):
        go(1)
    assert len(world.ran) == 1 and world.guests == 0
