"""A pristine kernel for every scenario: a booted one and a copy give the same results, and copies cost little."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.campaign.slots import usual
from harness.machine import target as targets
from tests.vm.conftest import ALL, SERIES, Everything, Kph, Ran

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
MEMORY = 768 << 20  # bytes that a run may take for each worker


def _told(ran: Ran, target: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Scenario and side -> status and reason."""
    return {
        (name, side): (row[side]["status"], row[side]["reason"])
        for name, row in ran.rows(target).items()
        for side in ("base", "patched")
    }


@pytest.mark.parametrize("target", targets.known())
def test_a_guest_that_is_booted_gives_the_same_results_as_a_copy(everything: Everything, kph: Kph, target: str) -> None:
    chosen = () if ALL else tuple(word for pattern in SOME for word in ("--scenario", pattern))
    boots = kph("--series", SERIES, *chosen, "--no-snapshot", target=target)
    assert everything.status == boots.status == 0
    told = _told(boots, target)
    copies = {key: value for key, value in _told(everything, target).items() if key in told}
    assert copies == told and {"pass", "fail", "skip"} == {status for status, _ in told.values()}
    cells = {cell["name"]: cell["facts"]["boots"] for cell in everything.report["targets"]}
    assert cells[target] == {"base": 1, "patched": 1}
    (booted,) = boots.report["targets"]
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


def test_workers_take_little_memory(everything: Everything) -> None:
    """Of all scenarios, and with the memory of each kernel's frozen guest."""
    workers = usual(256)
    print(f"{max(everything.looks) >> 20} MiB at most, {len(everything.looks)} looks, {workers} workers")
    assert len(everything.looks) > 50 and 200 << 20 < max(everything.looks) < MEMORY * max(2, workers)


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
