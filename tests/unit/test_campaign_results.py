"""What earlier runs have measured: when it holds, and when it is measured again."""

from __future__ import annotations

import dataclasses
import errno
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cache import Cache
from harness.campaign import results
from harness.campaign.result import SideResult
from harness.campaign.results import Results
from harness.machine import target as targets
from harness.model import IommuFault, Outcome, Qemu, Splat, SplatKind, Status, StepResult
from harness.scenario import load as suites
from harness.scenario.language import DoStep
from harness.scenario.schema import Scenario
from harness.scenario.tuning import Tuning

SUITE = suites.load_suite("sva")
SCENARIOS = SUITE.scenarios[:3]
IDS = [each.id for each in SCENARIOS]
SPLAT = Splat(SplatKind.WARN, "WARNING in f", ("f", "g"), ("line",), 3)


class Kernel:
    """Runs scenarios; ``ran`` has their ids."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.special: dict[str, Outcome] = {}  # id -> its outcome; else a pass
        self.failure = ""

    def run(self, scenarios: Sequence[Scenario]) -> SideResult:
        self.ran += [each.id for each in scenarios]
        outcomes = tuple(self.special.get(each.id, Outcome(each.id, Status.PASS, "", 0.1)) for each in scenarios)
        return SideResult(outcomes, (SPLAT,), 1, 1.5, self.failure)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def go(
    kernel: Kernel,
    folder: Path,
    scenarios: Sequence[Scenario] = SCENARIOS,
    *,
    key: str = "k",
    force: bool = False,
    run: str = "run",
    tuning: Tuning | None = None,
) -> SideResult:
    kept = Results(Cache(folder), key, folder / run, tuning=tuning)
    return kept.complete(scenarios, kernel.run, lambda _: None, force=force)


def test_what_was_measured_is_not_measured_again(kernel: Kernel, tmp_path: Path) -> None:
    first = go(kernel, tmp_path, run="one")
    again = go(kernel, tmp_path, run="two")
    assert kernel.ran == IDS
    assert [each.earlier for each in first.outcomes] == [None] * 3
    assert [each.earlier for each in again.outcomes] == [tmp_path / "one"] * 3
    assert [dataclasses.replace(each, earlier=None) for each in again.outcomes] == list(first.outcomes)
    assert (again.boots, again.boot_seconds, again.boot_splats) == (0, 1.5, (SPLAT,))


def test_other_scenarios_of_a_kernel_are_measured_beside_it(kernel: Kernel, tmp_path: Path) -> None:
    """As the two runs of an end of a bisection; and what both find is kept."""
    both = threading.Barrier(2, timeout=10)

    class Waits(Kernel):
        def run(self, scenarios: Sequence[Scenario]) -> SideResult:
            both.wait()
            return super().run(scenarios)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda scenario: go(Waits(), tmp_path, [scenario]), SCENARIOS[:2]))
    go(kernel, tmp_path)
    assert kernel.ran == IDS[2:]


def test_who_wants_what_is_being_measured_waits_for_it(kernel: Kernel, tmp_path: Path) -> None:
    began, told = threading.Event(), threading.Event()

    class Slow(Kernel):
        def run(self, scenarios: Sequence[Scenario]) -> SideResult:
            began.set()
            assert told.wait(10)
            return super().run(scenarios)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(go, Slow(), tmp_path)
        assert began.wait(10)
        kept = Results(Cache(tmp_path), "k", tmp_path / "two")
        again = kept.complete(SCENARIOS, kernel.run, lambda _: told.set(), force=False)
    assert told.is_set() and not kernel.ran
    assert {each.earlier for each in again.outcomes} == {tmp_path / "run"} and first.result().boots == 1


def test_what_takes_long_begins_first(kernel: Kernel, tmp_path: Path) -> None:
    """The outcomes come in the order asked for all the same."""
    for number, seconds in ((0, 0.2), (2, 0.9)):
        kernel.special[IDS[number]] = Outcome(IDS[number], Status.PASS, "", seconds)
    go(kernel, tmp_path)
    again = go(kernel, tmp_path, key="another kernel")
    assert kernel.ran == [*IDS, IDS[2], IDS[0], IDS[1]]
    assert [each.scenario for each in again.outcomes] == IDS


def test_of_those_never_measured_what_may_take_longest_begins_first(kernel: Kernel, tmp_path: Path) -> None:
    slow = dataclasses.replace(SCENARIOS[1], spec=SCENARIOS[1].spec.model_copy(update={"limit": 180.0}))
    go(kernel, tmp_path, [SCENARIOS[0], slow, SCENARIOS[2]])
    assert kernel.ran == [IDS[1], IDS[0], IDS[2]]


def test_another_key_knows_nothing(kernel: Kernel, tmp_path: Path) -> None:
    go(kernel, tmp_path)
    go(kernel, tmp_path, key="other")
    assert kernel.ran == IDS * 2


def test_force_measures_everything_and_keeps_it(kernel: Kernel, tmp_path: Path) -> None:
    go(kernel, tmp_path, run="one")
    forced = go(kernel, tmp_path, force=True, run="two")
    assert kernel.ran == IDS * 2 and {each.earlier for each in forced.outcomes} == {None}
    assert go(kernel, tmp_path, run="three").outcomes[0].earlier == tmp_path / "two"


def test_scenarios_that_were_not_asked_for_before_are_run(kernel: Kernel, tmp_path: Path) -> None:
    go(kernel, tmp_path, SCENARIOS[:1])
    result = go(kernel, tmp_path)
    assert kernel.ran == IDS
    assert [each.scenario for each in result.outcomes] == IDS
    assert [each.earlier is None for each in result.outcomes] == [False, True, True]
    go(kernel, tmp_path, SCENARIOS[:1])
    assert kernel.ran == IDS, "what a smaller run knew before is still known"


def test_a_scenario_whose_file_changed_is_run(kernel: Kernel, tmp_path: Path) -> None:
    go(kernel, tmp_path)
    file = tmp_path / "edited.yaml"
    file.write_text(SCENARIOS[1].file.read_text() + "# edited\n")
    edited = dataclasses.replace(SCENARIOS[1], file=file)
    go(kernel, tmp_path, (SCENARIOS[0], edited, SCENARIOS[2]))
    assert kernel.ran == [*IDS, IDS[1]]


@pytest.mark.parametrize("status", [Status.CRASH, Status.HANG, Status.ERROR])
def test_what_is_not_steady_is_measured_again(kernel: Kernel, tmp_path: Path, status: Status) -> None:
    kernel.special[IDS[1]] = Outcome(IDS[1], status, "why", 0.1)
    go(kernel, tmp_path)
    go(kernel, tmp_path)
    assert kernel.ran == [*IDS, IDS[1]]


def test_another_seed_or_stress_runs_what_uses_it(kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "race.yaml"
    file.write_text("steps that race")
    steps = SCENARIOS[0].spec.model_copy(
        update={"steps": (DoStep.model_validate({"do": "take", "rounds": "$stress * 5", "seed": "$seed"}),)}
    )
    both = (Scenario("race", file, steps, ()), SCENARIOS[0])
    go(kernel, tmp_path, both)
    go(kernel, tmp_path, both, tuning=Tuning())
    assert kernel.ran == ["race", SCENARIOS[0].id]
    for tuning in (Tuning(seed=2), Tuning(stress=2)):
        kernel.ran.clear()
        go(kernel, tmp_path, both, tuning=tuning)
        assert kernel.ran == ["race"]


def test_a_splat_is_measured_again(kernel: Kernel, tmp_path: Path) -> None:
    kernel.special[IDS[0]] = Outcome(IDS[0], Status.PASS, "", 0.1, splats=(SPLAT,))
    go(kernel, tmp_path)
    del kernel.special[IDS[0]]
    assert go(kernel, tmp_path).outcomes[0].splats == ()
    assert kernel.ran == [*IDS, IDS[0]]


def test_a_pass_that_became_a_crash_is_not_remembered(kernel: Kernel, tmp_path: Path) -> None:
    go(kernel, tmp_path)
    kernel.special[IDS[0]] = Outcome(IDS[0], Status.CRASH, "oops", 0.1)
    go(kernel, tmp_path, force=True)
    assert go(kernel, tmp_path).outcomes[0].status is Status.CRASH


def test_a_failure_holds_as_long_as_its_evidence_is_there(kernel: Kernel, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    step = StepResult("1", "bind", False, "success", "ENOSPC", 0.1)
    fault = IommuFault("00:04.0", 0x1000, "0x59", 3, True)
    failed = Outcome(IDS[0], Status.FAIL, "why", 0.1, (step,), faults=(fault,), evidence=evidence, lacking="the call")
    kernel.special[IDS[0]] = failed
    go(kernel, tmp_path)
    assert dataclasses.replace(go(kernel, tmp_path).outcomes[0], earlier=None) == failed
    assert kernel.ran == IDS
    evidence.rmdir()
    go(kernel, tmp_path)
    assert kernel.ran == [*IDS, IDS[0]]


def test_a_pass_holds_without_its_logs(kernel: Kernel, tmp_path: Path) -> None:
    kernel.special[IDS[0]] = Outcome(IDS[0], Status.PASS, "", 0.1, evidence=tmp_path / "gone")
    go(kernel, tmp_path)
    assert go(kernel, tmp_path).outcomes[0].evidence is None and kernel.ran == IDS


def test_a_kernel_that_does_not_boot_is_booted_again(kernel: Kernel, tmp_path: Path) -> None:
    kernel.failure = "the kernel hangs in boot"
    go(kernel, tmp_path)
    go(kernel, tmp_path)
    assert kernel.ran == IDS * 2


def test_a_full_disk_costs_the_next_run_only(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results, "write_whole", full)
    result = go(kernel, tmp_path)
    assert [each.scenario for each in result.outcomes] == IDS
    assert any("not kept for later runs" in note and "No space left" in note for note in result.notes)


@pytest.mark.parametrize("content", [b"", b"{", b'{"boot_seconds": "x"}'])
def test_a_file_that_is_no_good_is_no_result(kernel: Kernel, tmp_path: Path, content: bytes) -> None:
    go(kernel, tmp_path)
    (tmp_path / "results/k.json").write_bytes(content)
    go(kernel, tmp_path)
    assert kernel.ran == IDS * 2


def test_the_key_has_all_that_a_result_depends_on(tmp_path: Path) -> None:
    target = targets.load("x86_64-vtd")

    def key(**changes: Any) -> str:
        target_ = changes.get("target", target)
        plan: Any = SimpleNamespace(
            qemu=changes.get("qemu", Qemu(tmp_path, "10", "q")),
            target=target_,
            choice=SimpleNamespace(accelerator=target_.accelerators[changes.get("accelerator", -1)]),
            channel=changes.get("channel", "serial"),
            flavour=changes.get("flavour", "base"),
        )
        return results.key(plan, SUITE, changes.get("behaviours", {"multi_pasid": False}), changes.get("parts", ("k",)))

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / target.binary).write_bytes(b"")
    others = [
        key(target=target.model_copy(update={"memory_mib": 512})),
        key(accelerator=0),
        key(channel="ssh"),
        key(flavour="kasan"),
        key(behaviours={"multi_pasid": True}),
        key(parts=("l",)),
        key(qemu=Qemu(tmp_path, "10", "r")),
        key(qemu=Qemu(tmp_path, "10", "user")),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key() == key()
