"""Kernels that are broken on purpose: each is reported as what it is, soon, and the rest goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.conftest import ROOT, Kph, Ran

BROKEN = ROOT / "tests/data/broken"
SOON = 30.0  # seconds from the event to the report


def _scenario_seconds(ran: Ran) -> float:
    """Everything on the patched side after its build."""
    return sum(
        float(each["seconds"])
        for each in ran.report["timings"]
        if (each["name"], each["side"]) == ("scenarios", "patched")
    )


@pytest.mark.parametrize(
    ("patch", "status", "reason"),
    [
        ("panic-in-early-boot", "crash", "kph test: broken on purpose"),
        ("hang-in-boot", "hang", "hangs in boot"),
    ],
)
def test_a_kernel_that_does_not_boot(kph: Kph, patch: str, status: str, reason: str) -> None:
    ran = kph("--series", BROKEN / f"{patch}.patch", "--scenario", "global-*")
    assert ran.status == 1
    for row in ran.rows().values():
        assert row["base"]["status"] == "pass"
        assert row["patched"]["status"] == status and reason in row["patched"]["reason"]
        assert row["change"] == "regressed"
    assert _scenario_seconds(ran) < SOON
    assert reason in ran.said


def test_a_bind_that_never_returns(kph: Kph) -> None:
    """Every scenario that binds hangs; the one that does not still passes, in a machine of its own."""
    ran = kph("--series", BROKEN / "bind-never-returns.patch", "--scenario", "global-first-bind")
    assert ran.status == 1
    row = ran.rows()["global-first-bind"]
    assert row["patched"]["status"] == "hang" and "bind" in row["patched"]["reason"]
    assert _scenario_seconds(ran) < SOON
    console = Path(ran.folder / "patched/boot-1/console.log").read_text(errors="replace")
    assert "iommu_sva_bind_device" in console, "the blocked task is in the evidence"


def test_a_series_that_does_not_build(kph: Kph, tmp_path: Path) -> None:
    patch = tmp_path / "syntax.patch"
    patch.write_text(
        "Subject: [PATCH] iommu/sva: break the build\n\n---\n"
        "diff --git a/drivers/iommu/iommu-sva.c b/drivers/iommu/iommu-sva.c\n"
        "--- a/drivers/iommu/iommu-sva.c\n+++ b/drivers/iommu/iommu-sva.c\n"
        "@@ -1,3 +1,4 @@\n // SPDX-License-Identifier: GPL-2.0\n /*\n+ */ int broken = no_such_name; /*\n"
        "  * Helpers for IOMMU drivers implementing SVA\n"
    )
    ran = kph("--series", patch, "--scenario", "global-first-bind")
    assert ran.status == 1
    assert "no_such_name" in ran.said and "iommu-sva.c:3" in ran.said, "the compiler's own words"
