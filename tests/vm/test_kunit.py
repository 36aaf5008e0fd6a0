"""The kernel's own unit tests: each of them is there, and none passes that did not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.conftest import ALL, ROOT, Kph
from tests.vm.upstream import byhand, source

SUITE = "arm-smmu-v3-kunit-test"
BROKEN = ROOT / "tests/data/broken"
PT = "drivers/iommu/generic_pt"
# Target -> suite -> where its cases are. VT-d uses two formats of page tables.
SUITES = {
    "arm64-smmuv3": {
        SUITE: "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-test.c",
        "io-pgtable-arm-test": "drivers/iommu/io-pgtable-arm-selftests.c",
    },
    "x86_64-vtd": {
        f"{form}_{kind}_test": f"{PT}/kunit_{file}.h"
        for form in ("vtdss", "x86_64")
        for kind, file in (("fmt", "generic_pt"), ("iommu", "iommu_pt"))
    },
}
# The format's header lacks what the case is about.
NOT_BUILT = {"x86_64_fmt_test": {"test_dirty"}}


# A kernel of its own: with the others, a cold run of everything would take longer than half an hour.
own_kernel = pytest.mark.skipif(not ALL, reason="make vm-all builds kernels with KUnit")


@own_kernel
@pytest.mark.parametrize("target", sorted(SUITES))
def test_every_case_of_the_source_is_a_scenario_and_ends_as_on_the_console(
    kph: Kph, tmp_path: Path, target: str
) -> None:
    ran = kph("--suite", "kunit", target=target)
    assert ran.status == 0
    rows = ran.rows()
    told = {name: row["base"]["status"] for name, row in rows.items()}
    assert {name.partition("/")[0] for name in rows} == set(SUITES[target])
    printed = byhand.results(byhand.console(ran.folder, (), tmp_path))
    for suite, path in SUITES[target].items():
        declared = source.kunit_cases(source.show(ran.report["tree"], path))
        built = [name for name in declared if name not in NOT_BUILT.get(suite, ())]
        assert [name.partition("/")[2] for name in rows if name.startswith(f"{suite}/")] == built and built
        assert told[suite] == "pass"
        assert all(told[f"{suite}/{name}"] in ("pass", "skip") for name in built)
        # On the console a suite's line follows those of its cases.
        end = printed.index((suite, "pass", 0))
        cases = [(name, status) for name, status, depth in printed[:end] if depth == 4][-len(built) :]
        assert cases == [(name, told[f"{suite}/{name}"]) for name in built]


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
