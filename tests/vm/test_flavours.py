"""The reference series on kernels of every flavour that looks for mistakes, on every target.

Flavours are merged, so that four kernels do for the ten (kernel-configs/README.md).
"""

from __future__ import annotations

import pytest

from tests.vm.conftest import ALL, SERIES, Kph

FLAVOURS = ("kasan+ubsan+faults+lockdep+small", "leak+small")
# docs/findings/smmuv3-unbind-during-fault.md
SKIPPED = {("arm64-smmuv3", FLAVOURS[0], "race-unbind-and-page-request")}
LIMIT = 2 * 3600  # seconds; with every cache empty on two slow cores


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.skipif(not ALL, reason="NOT RUN: builds four kernels; make flavours has it")
def test_the_reference_series_passes_with_every_flavour_on_every_target(kph: Kph) -> None:
    options = ("--flavour", ",".join(FLAVOURS), "--patched-first")
    ran = kph("--series", SERIES, *options, target="all", limit=LIMIT)
    assert ran.status == 0
    cells = ran.report["targets"]
    assert sorted((cell["name"], cell["flavour"]) for cell in cells) == sorted(
        (target, flavour) for target in ("arm64-smmuv3", "x86_64-vtd") for flavour in FLAVOURS
    )
    for cell in cells:
        assert cell["verdict"] == "pass" and not cell["boot_splats"]
    told = ran.report["scenarios"]
    for row in told:
        assert row["patched"]["status"] in ("pass", "skip") and not row["patched"]["splats"], row
        assert row["change"] == "patched only", row  # so no base was built
    # No flavour may be the reason for skipping more, but for what the suite says of it.
    skipped = {(row["target"], row["flavour"], row["id"]) for row in told if row["patched"]["status"] == "skip"}
    assert skipped >= SKIPPED
    for target, flavour, name in skipped - SKIPPED:
        assert {(target, each, name) for each in FLAVOURS} <= skipped, (target, flavour, name)
    # Of KASAN's own allocations, twenty in an exit, none is made to fail (docs/sweep.md).
    exits = [row for row in told if row["id"] == "sweep-exit" and row["flavour"] == FLAVOURS[0]]
    points = [measured["values"]["points"] for row in exits for measured in row["patched"]["measured"]]
    assert points and max(points) < 10, points
