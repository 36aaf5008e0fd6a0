"""Kernels that are broken on purpose: each is reported as what it is, soon, and the rest goes on."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm.conftest import ROOT, Kph, Ran, runs

BROKEN = ROOT / "tests/data/broken"
RUN = {  # patch -> scenarios
    "panic-in-early-boot": "global-*",
    "hang-in-boot": "global-*",
    "bind-never-returns": "global-first-bind",
}
SOON = 30.0  # seconds from the event to the report


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran]:
    """What came of each. They run at a time: most of theirs they wait for what does not come."""

    folder = tmp_path_factory.mktemp("broken")

    def run(name: str) -> Ran:
        return runs(folder)("--series", BROKEN / f"{name}.patch", "--scenario", RUN[name], name=name)

    with ThreadPoolExecutor() as pool:
        return dict(zip(RUN, pool.map(run, RUN), strict=True))


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
def test_a_kernel_that_does_not_boot(broken: Mapping[str, Ran], patch: str, status: str, reason: str) -> None:
    ran = broken[patch]
    assert ran.status == 1
    for row in ran.rows().values():
        assert row["base"]["status"] == "pass"
        assert row["patched"]["status"] == status and reason in row["patched"]["reason"]
        assert row["change"] == "regressed"
    assert _scenario_seconds(ran) < SOON
    assert reason in ran.said


def test_a_bind_that_never_returns(broken: Mapping[str, Ran]) -> None:
    """Every scenario that binds hangs; the one that does not still passes, in a machine of its own."""
    ran = broken["bind-never-returns"]
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
