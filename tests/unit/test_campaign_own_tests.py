"""The guest's own tests of one kernel: a guest for each program, and what an end before the last test makes of it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.campaign import rows, side
from harness.campaign.guest import BootFailed
from harness.campaign.result import SideResult
from harness.campaign.side import SideRunner
from harness.campaign.slots import Slots
from harness.model import Cell, Outcome, Splat, Status, Verdict
from harness.proc import Door
from harness.scenario import load
from harness.scenario.link import GuestLost, GuestTimeout
from harness.scenario.schema import Carried
from harness.scenario.steps import StepFailed
from harness.ui import Ui

PROGRAMS = ("iommufd", "iommufd_fail_nth")
# Program -> names of tests that passed, then what ended it or None.
Story = Mapping[str, tuple[Sequence[str], Exception | None]]
GOOD: Story = {
    "iommufd": (("iommufd", "iommufd/a", "iommufd/b"), None),
    "iommufd_fail_nth": (("iommufd_fail_nth",), None),
}


class FakeGuest:
    boot_seconds = 1.0
    fault = ""
    drained = False
    answers = True

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence

    def drain(self, scale: float = 1.0) -> bool:
        self.drained = True
        return True

    def splats(self) -> tuple[Splat, ...]:
        assert self.drained or not self.answers
        return ()

    def blocked_tasks(self) -> None: ...

    def last_words(self, lost: bool = False) -> str:
        return "kernel panic: Oops"

    def host_fault(self) -> str:
        return self.fault


def _result(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    story: Story,
    patterns: Sequence[str] = (),
    boots_fail: int | None = None,
    fault: str = "",
) -> tuple[SideResult, list[str]]:
    said: list[str] = []

    class FakeRun:
        def __init__(self, suite: Any, tests: Any, guest: Any, clock: Any, **_: object) -> None:
            self.found: list[Outcome] = []
            self.label, self.at, self._guest = "", "", guest

        def run(self, carried: Carried) -> None:
            said.append(f"{carried.program} on {self._guest.evidence.name}")
            names, error = story[carried.program]
            self.found = [Outcome(name, Status.PASS, "", 0.0) for name in names]
            self._guest.answers = not isinstance(error, GuestLost | GuestTimeout)
            if error is not None:
                self.label, self.at = ("", "") if isinstance(error, StepFailed) else (carried.program, "the last line")
                raise error

    suite = load.load_suite("iommufd")
    assert suite.spec.ktap is not None
    monkeypatch.setattr(side, "OwnTestsRun", FakeRun)
    ui = Ui(Console(file=io.StringIO()))
    plan: Any = SimpleNamespace(guest=SimpleNamespace(ssh=None))
    runner = SideRunner(plan, suite, {}, "base", tmp_path, Door(), ui, Slots(1))

    class FakeBoots:
        number, seconds, splats, last = 0, 1.0, (), tmp_path

        def boot(self, guests: ExitStack) -> FakeGuest:
            self.number += 1
            if self.number == boots_fail:
                raise BootFailed(Status.CRASH, "the kernel dies in boot", ())
            guest = FakeGuest(tmp_path / f"boot-{self.number}")
            guest.fault = fault
            return guest

    runner._boots = FakeBoots()  # type: ignore[assignment]
    return runner.run_own_tests(suite.spec.ktap, patterns), said


def _cell(base: SideResult, patched: SideResult | None = None) -> Cell:
    results = {"base": base} if patched is None else {"base": base, "patched": patched}
    return rows.cell("t", "f", {}, results, "", {}, "iommufd")


def test_each_program_has_a_guest_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, said = _result(tmp_path, monkeypatch, GOOD)
    assert said == ["iommufd on boot-1", "iommufd_fail_nth on boot-2"]
    assert [each.scenario for each in result.outcomes] == ["iommufd", "iommufd/a", "iommufd/b", "iommufd_fail_nth"]
    assert result.boots == 2 and _cell(result).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (GuestLost("gone"), Status.CRASH, "kernel panic: Oops; the last line"),
        (GuestTimeout("has printed nothing for 60 s"), Status.HANG, "has printed nothing for 60 s; the last line"),
        (StepFailed("no huge pages"), Status.FAIL, "before the tests: no huge pages"),
    ],
)
@pytest.mark.parametrize("patterns", [(), ("iommufd/a",)])
def test_what_ended_a_program_fails_a_tree_though_tests_passed_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: Status,
    reason: str,
    patterns: Sequence[str],
) -> None:
    story = {**GOOD, "iommufd": (("iommufd/a",), error)}
    result, said = _result(tmp_path, monkeypatch, story, patterns)
    assert len(said) == 2, "the other program goes on"
    ended = next(each for each in result.outcomes if each.scenario == "iommufd")
    assert (ended.status, ended.reason) == (status, reason)
    assert ended.evidence == tmp_path / "boot-1"
    assert _cell(result).verdict is Verdict.FAIL


def test_tests_that_it_did_not_come_to_are_worse_than_on_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, _ = _result(tmp_path, monkeypatch, GOOD)
    patched, _ = _result(tmp_path, monkeypatch, {**GOOD, "iommufd": (("iommufd/a",), GuestLost("gone"))})
    cell = _cell(base, patched)
    changes = {row.scenario: row.change.value for row in cell.rows}
    assert changes == {
        "iommufd": "regressed",
        "iommufd/a": "unchanged",
        "iommufd/b": "regressed",
        "iommufd_fail_nth": "unchanged",
    }
    assert cell.verdict is Verdict.FAIL


def test_a_fault_of_the_host_is_no_result_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = {**GOOD, "iommufd": (("iommufd/a",), GuestLost("gone"))}
    result, _ = _result(tmp_path, monkeypatch, story, fault="QEMU was ended by SIGKILL")
    ended = next(each for each in result.outcomes if each.scenario == "iommufd")
    assert ended.status is Status.ERROR and ended.reason.startswith("QEMU was ended by SIGKILL")
    assert _cell(result).verdict is Verdict.ERROR


def test_nothing_but_an_end_is_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story: Story = {name: ((), StepFailed("no huge pages")) for name in PROGRAMS}
    result, _ = _result(tmp_path, monkeypatch, story)
    assert result.outcomes == () and result.otherwise is not None
    assert _cell(result, result).verdict is Verdict.ERROR


def test_a_kernel_that_does_not_boot_has_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, said = _result(tmp_path, monkeypatch, GOOD, boots_fail=2)
    assert len(said) == 1 and result.outcomes == () and result.failure == "the kernel dies in boot"
    assert _cell(result).verdict is Verdict.FAIL
