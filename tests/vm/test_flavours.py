"""The reference series on kernels of every flavour that looks for mistakes, on every target.

Flavours are merged, so that two kernels do for the ten (kernel-configs/README.md).
"""

from __future__ import annotations

import pytest

from tests.vm.conftest import ALL, SERIES, Kph

FLAVOUR = "kasan+ubsan+faults+lockdep+leak+small"
TARGETS = ("arm64-smmuv3", "x86_64-vtd")
# Why a scenario may be skipped: never for what a flavour has or lacks.
SERIES_DOES_NOT = "for series with "
WITHOUT_SVA = "the kernel has CONFIG_IOMMU_SVA"
NO_ENQCMD = "the kernel does not believe in ENQCMD"
# docs/findings/smmuv3-unbind-during-fault.md
UNDRAINED = {("arm64-smmuv3", "race-unbind-and-page-request")}
LIMIT = 2 * 3600  # seconds; with every cache empty on two slow cores


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.skipif(not ALL, reason="NOT RUN: builds two kernels; make flavours has it")
def test_the_reference_series_passes_with_every_flavour_on_every_target(kph: Kph) -> None:
    options = ("--flavour", FLAVOUR, "--patched-first")
    ran = kph("--series", SERIES, *options, target="all", limit=LIMIT)
    assert ran.status == 0
    cells = ran.report["targets"]
    assert sorted((cell["name"], cell["flavour"]) for cell in cells) == [(target, FLAVOUR) for target in TARGETS]
    for cell in cells:
        assert cell["verdict"] == "pass" and not cell["boot_splats"]
    told = ran.report["scenarios"]
    for row in told:
        assert row["patched"]["status"] in ("pass", "skip") and not row["patched"]["splats"], row
        assert row["change"] == "patched only", row  # so no base was built
    skipped = {(row["target"], row["id"]): row["patched"]["reason"] for row in told if row["patched"]["reason"]}
    for (target, name), reason in skipped.items():
        because = (SERIES_DOES_NOT, WITHOUT_SVA, *((NO_ENQCMD,) if target == "arm64-smmuv3" else ()))
        assert reason.startswith(because), (target, name, reason)
    assert {row for row, reason in skipped.items() if "drains_at_unbind" in reason} == UNDRAINED
    # Of KASAN's own allocations, twenty in an exit, none is made to fail (docs/sweep.md).
    exits = [row for row in told if row["id"] == "sweep-exit"]
    points = [measured["values"]["points"] for row in exits for measured in row["patched"]["measured"]]
    assert points and max(points) < 10, points
