"""The kernel's own unit tests: each of them is there, and none passes that did not run."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from harness.cache import Cache
from harness.proc import Door
from tests.vm.conftest import ALL, ROOT, Kph

SUITE = "arm-smmu-v3-kunit-test"
BROKEN = ROOT / "tests/data/broken"
SOURCE = "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-test.c"


# A kernel of its own: with the others, a cold run of everything would take longer than half an hour.
own_kernel = pytest.mark.skipif(not ALL, reason="make vm-all builds a kernel with KUnit")


def _declared(tree: Mapping[str, str]) -> list[str]:
    """Names of the cases in the tree's own source."""
    cache, door = Cache.default(), Door()
    for repo in sorted(cache.room("trees").glob("*.git")):
        git = ["git", f"--git-dir={repo}", "show", f"{tree['commit']}:{SOURCE}"]
        done = door.run(git, timeout=60, check=False)
        if done.status == 0:
            return re.findall(r"^\tKUNIT_CASE\((\w+)\)", done.output, re.MULTILINE)
    raise AssertionError("no cache has the tree")


@own_kernel
def test_every_case_of_the_source_is_a_scenario(kph: Kph) -> None:
    ran = kph("--suite", "kunit", target="arm64-smmuv3")
    assert ran.status == 0
    rows = ran.rows()
    declared = _declared(ran.report["tree"])
    assert len(declared) >= 20
    assert [name.removeprefix(f"{SUITE}/") for name in rows if name.startswith(f"{SUITE}/")] == declared
    assert rows[SUITE]["base"]["status"] == "pass"
    assert all(rows[f"{SUITE}/{name}"]["base"]["status"] == "pass" for name in declared)


@own_kernel
def test_a_patch_that_breaks_the_driver_is_told_by_the_cases(kph: Kph) -> None:
    ran = kph("--suite", "kunit", "--series", BROKEN / "smmuv3-never-hitless.patch", target="arm64-smmuv3")
    assert ran.status == 1
    changes = {name: row["change"] for name, row in ran.rows().items()}
    assert changes[SUITE] == "regressed"
    assert changes[f"{SUITE}/arm_smmu_v3_write_ste_test_bypass_to_abort"] == "regressed"
    assert changes[f"{SUITE}/arm_smmu_v3_write_ste_test_non_hitless"] == "unchanged", "it was a breaking one before"
    assert "EXPECTATION FAILED" in ran.said
    assert (ran.folder / f"patched/ktap/{SUITE}.ktap").read_text().startswith("KTAP version 1\n")


def test_a_kernel_without_the_suite_says_so(kph: Kph) -> None:
    ran = kph("--suite", "kunit", "--flavour", "base")
    assert ran.status == 3
    row = ran.rows()["kunit"]
    assert row["base"]["status"] == "skip" and "flavour kunit" in row["base"]["reason"]
    assert "no evidence" in ran.said
