"""The reference series on kernels of every flavour that looks for mistakes, on every target.

Flavours are merged, so that four kernels do for the ten (kernel-configs/README.md).
"""

from __future__ import annotations

import pytest

from tests.vm.conftest import ALL, SERIES, Kph

FLAVOURS = ("kasan+ubsan+faults", "lockdep+leak")
LIMIT = 3600  # seconds; with every cache empty on two cores


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.skipif(not ALL, reason="NOT RUN: builds four kernels and each with the series; make flavours has it")
def test_the_reference_series_passes_with_every_flavour_on_every_target(kph: Kph) -> None:
    ran = kph("--series", SERIES, "--flavour", ",".join(FLAVOURS), target="all", limit=LIMIT)
    assert ran.status == 0
    cells = ran.report["targets"]
    assert sorted((cell["name"], cell["flavour"]) for cell in cells) == sorted(
        (target, flavour) for target in ("arm64-smmuv3", "x86_64-vtd") for flavour in FLAVOURS
    )
    for cell in cells:
        assert cell["verdict"] == "pass" and not cell["boot_splats"]
    for row in ran.report["scenarios"]:
        for side in ("base", "patched"):
            assert not row[side]["splats"], (row["flavour"], row["id"])
        assert row["patched"]["status"] in ("pass", "skip"), row
    # No flavour may be the reason for skipping more.
    for target in ("arm64-smmuv3", "x86_64-vtd"):
        skipped = {flavour: frozenset[str]() for flavour in FLAVOURS}
        for row in ran.report["scenarios"]:
            if row["target"] == target and row["patched"]["status"] == "skip":
                skipped[row["flavour"]] |= {row["id"]}
        assert len(set(skipped.values())) == 1, (target, skipped)
