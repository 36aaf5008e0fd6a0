"""The kernel's own selftests of iommufd: each of them is there, counts as it does by hand, and none passes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.conftest import ALL, ROOT, Kph
from tests.vm.upstream import byhand, source

PROGRAMS = ("iommufd", "iommufd_fail_nth")
FOLDER = "tools/testing/selftests/iommu"
BROKEN = ROOT / "tests/data/broken"
FINDING = ROOT / "docs/findings/iommufd-selftest-dmabuf-fd.patch"

pytestmark = pytest.mark.skipif(not ALL, reason="make vm-all builds a kernel with IOMMUFD_TEST for each target")


@pytest.mark.parametrize("target", ["x86_64-vtd", "arm64-smmuv3"])
def test_the_tests_are_those_of_the_source_and_end_as_they_do_by_hand(kph: Kph, tmp_path: Path, target: str) -> None:
    ran = kph("--suite", "iommufd", target=target)
    assert ran.status in (0, 1), "unmodified kernels have failures of their own: docs/findings"
    told = [(name, row["base"]["status"]) for name, row in ran.rows().items()]
    printed = byhand.console(ran.folder, PROGRAMS, tmp_path)
    for program in PROGRAMS:
        mine = [(name.partition("/")[2], status) for name, status in told if name.startswith(f"{program}/")]
        declared = source.harness_tests(source.show(ran.report["tree"], f"{FOLDER}/{program}.c"))
        assert {name for name, _ in mine} == declared and len(mine) == len(declared) >= 8
        part = printed.partition(f"byhand: {program} begins\n")[2].partition(f"byhand: {program} ended")[0]
        assert mine == [(name, status) for name, status, _ in byhand.results(part)]
    assert dict(told)["iommufd_fail_nth"] == "pass", "every allocation failed once, in every call"


def test_a_series_that_mends_what_fails_has_fixed_it(kph: Kph) -> None:
    ran = kph("--suite", "iommufd", "--series", FINDING)
    assert ran.status == 0
    changes = {name: row["change"] for name, row in ran.rows().items() if row["change"] != "unchanged"}
    variants = ("no_domain", "mock_domain", "two_mock_domain", "mock_domain_limit")
    tests = [f"iommufd/iommufd_ioas.{each}.dmabuf_{test}" for each in variants for test in ("simple", "revoke")]
    assert changes == dict.fromkeys(("iommufd", *tests), "fixed")


def test_a_series_that_touches_tests_alone_is_built_and_judged(kph: Kph) -> None:
    ran = kph("--suite", "iommufd", "--series", BROKEN / "iommufd-test-expects-another-errno.patch", fresh=False)
    assert ran.status == 1
    changes = {name: row["change"] for name, row in ran.rows().items() if row["change"] != "unchanged"}
    assert changes == {"iommufd/iommufd.cmd_fail": "regressed"}
    assert "touches no file that the kernel's build reads" in " ".join(ran.said.split())


def test_a_kernel_that_dies_under_a_program_is_told_as_such(kph: Kph) -> None:
    ran = kph("--suite", "iommufd", "--series", BROKEN / "iommufd-oops.patch")
    assert ran.status == 1
    rows = ran.rows()
    whole = rows["iommufd"]["patched"]
    assert whole["status"] == "crash" and whole["reason"].startswith("kernel panic: ")
    assert rows["iommufd/iommufd.simple_close"]["change"] == "unchanged", "it had its result before"
    assert rows["iommufd/iommufd_ioas.mock_domain.unmap_fully_contained_areas"]["change"] == "regressed"
    assert rows["iommufd_fail_nth"]["patched"]["status"] == "pass", "it has a guest of its own"
    assert "kernel BUG in iommufd_test" in ran.said
