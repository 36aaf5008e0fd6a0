"""The reference series on kernels of every flavour that looks for mistakes, on every target.

Flavours are merged, so that two kernels do for the ten (kernel-configs/README.md).
"""

from __future__ import annotations

import re

import pytest

from tests.vm.conftest import ALL, SERIES, Kph

FLAVOUR = "kasan+ubsan+faults+lockdep+leak+small"
# How the reason of a skip begins. No flavour is one, but that KASAN on arm64 has the series without drains_at_unbind
# (docs/findings/smmuv3-unbind-during-fault.md).
_ANY = (
    "the kernel has CONFIG_IOMMU_SVA",
    "for series with ((drains|silent)_after_release|drains_at_last_unbind|multi_pasid)=",
)
WHY_SKIPPED = {
    "arm64-smmuv3": "|".join((*_ANY, "for series with drains_at_unbind=", "the kernel does not believe in ENQCMD")),
    "x86_64-vtd": "|".join(_ANY),
}
LIMIT = 2 * 3600  # seconds; with every cache empty on two slow cores


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.skipif(not ALL, reason="NOT RUN: builds two kernels; make flavours has it")
def test_the_reference_series_passes_with_every_flavour_on_every_target(kph: Kph) -> None:
    options = ("--flavour", FLAVOUR, "--patched-first")
    ran = kph("--series", SERIES, *options, target="all", limit=LIMIT)
    assert ran.status == 0
    cells = ran.report["targets"]
    assert sorted((cell["name"], cell["flavour"]) for cell in cells) == [(target, FLAVOUR) for target in WHY_SKIPPED]
    for cell in cells:
        assert cell["verdict"] == "pass" and not cell["boot_splats"]
    told = ran.report["scenarios"]
    for row in told:
        assert row["patched"]["status"] in ("pass", "skip") and not row["patched"]["splats"], row
        assert row["change"] == "patched only", row  # so no base was built
        if row["patched"]["status"] == "skip":
            assert re.match(WHY_SKIPPED[row["target"]], row["patched"]["reason"]), row
    # Of KASAN's own allocations, twenty in an exit, none is made to fail (docs/sweep.md).
    exits = [row for row in told if row["id"] == "sweep-exit"]
    points = [measured["values"]["points"] for row in exits for measured in row["patched"]["measured"]]
    assert points and max(points) < 10, points
