"""The reference series, end to end: global scenarios hold on both kernels, own-PASID ones only on the patched one."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from harness import schema
from tests.vm.conftest import SERIES, Kph

AIM = 40  # scenarios that ran on the patched kernel
# Scenarios for another configuration, for another series, and for a kernel that mends docs/findings; by their reasons.
NOT_HERE = ("the kernel has CONFIG_IOMMU_SVA", "for series with multi_pasid", "for series with drains_after_release")


@pytest.mark.parametrize("channel", ["serial", "ssh"])
@pytest.mark.parametrize("tree", ["debian:7.3", "debian:7.2"])
def test_the_reference_series_does_what_it_says(kph: Kph, tmp_path: Path, tree: str, channel: str) -> None:
    junit, ktap = tmp_path / "r.xml", tmp_path / "r.ktap"
    ran = kph(
        *("--series", SERIES, "--channel", channel, "--report", f"junit={junit}", "--report", f"ktap={ktap}"), tree=tree
    )
    assert ran.status == 0
    jsonschema.validate(ran.report, schema.load("run"))
    assert ran.report["verdict"] == "pass"
    rows = ran.rows()
    skipped = [name for name, row in rows.items() if row["patched"]["reason"].startswith(NOT_HERE)]
    assert len(skipped) == len(NOT_HERE)
    rows = {name: row for name, row in rows.items() if name not in skipped}
    assert len(rows) >= AIM
    for name, row in rows.items():
        assert row["patched"]["status"] == "pass", (name, row)
        assert row["base"]["status"] in ("pass", "skip"), (name, row)
        if row["base"]["status"] == "skip":
            assert "iommu_sva_bind_device_pasid" in row["base"]["reason"], (name, row)
            assert row["change"] == "new pass"
    changes = {row["change"] for row in rows.values()}
    assert changes == {"new pass", "unchanged"}
    assert int(ElementTree.parse(junit).getroot().attrib["failures"]) == 0
    assert ktap.read_text().startswith("KTAP version 1\n") and "\nnot ok" not in ktap.read_text()


def test_a_base_alone_is_tested(kph: Kph) -> None:
    ran = kph("--scenario", "global-*")
    assert ran.status == 0
    assert {row["change"] for row in ran.rows().values()} == {"base only"}
    assert all(row["patched"] is None for row in ran.rows().values())


def test_nothing_but_skips_is_no_evidence(kph: Kph) -> None:
    ran = kph("--scenario", "own-*")
    assert ran.status == 3
    assert {row["base"]["status"] for row in ran.rows().values()} == {"skip"}
    assert "no evidence" in ran.said
