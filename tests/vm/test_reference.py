"""The reference series, end to end: global scenarios hold on both kernels, own-PASID ones only on the patched one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from harness import schema
from tests.vm.conftest import ALL, ROOT, SERIES, Everything, Kph, Ran

TARGETS = ("x86_64-vtd", "arm64-smmuv3")
# A cold run of everything must end within half an hour: the kernel of this pair is built by `make vm-all`.
NOT_EACH_TIME = ("debian:7.2", "arm64-smmuv3")
# Linux 7.3 over serial runs every scenario in each `make test`; elsewhere these do, and all of them in `make vm-all`.
SOME = ("*-first-bind", "own-*", "motive-*", "data-after-*")
FULL, PART = "every scenario", "some scenarios"
AIM = {FULL: 40, PART: 20}  # scenarios that ran on the patched kernel of each target
# What the series is for: these fail without it.
MOTIVE = ("motive-one-pasid-held-by-another-driver", "motive-three-pasids-bound-elsewhere")
# Scenarios for another configuration, for another series, and for a kernel that mends docs/findings; by their reasons.
NOT_HERE = (
    "the kernel has CONFIG_IOMMU_SVA",
    "for series with multi_pasid",
    "for series with drains_after_release",
    "for series with drains_at_last_unbind",
    "for series with silent_after_release",
)
# ... and for another machine: a role or a capability that this one lacks, one scenario or more each.
NOT_ON = {"x86_64-vtd": (), "arm64-smmuv3": ("the kernel does not believe in ENQCMD",)}


def test_the_reference_series_does_what_it_says(everything: Everything) -> None:
    _holds(everything, everything.junit, everything.ktap, TARGETS, FULL)


@pytest.mark.parametrize("extent", [PART, FULL])
@pytest.mark.parametrize(("tree", "channel"), [("debian:7.3", "ssh"), ("debian:7.2", "serial"), ("debian:7.2", "ssh")])
def test_so_it_does_elsewhere(kph: Kph, tmp_path: Path, tree: str, channel: str, extent: str) -> None:
    if (extent == FULL) != ALL:
        pytest.skip("make vm-all runs every scenario" if extent == FULL else "every scenario runs in this run")
    junit, ktap = tmp_path / "r.xml", tmp_path / "r.ktap"
    reports = ("--report", f"junit={junit}", "--report", f"ktap={ktap}")
    chosen = [word for pattern in SOME for word in ("--scenario", pattern)] if extent == PART else []
    targets = tuple(target for target in TARGETS if ALL or (tree, target) != NOT_EACH_TIME)
    if targets != TARGETS:
        warnings.warn(f"{' on '.join(NOT_EACH_TIME)} is left to make vm-all", stacklevel=1)
    ran = kph("--series", SERIES, "--channel", channel, *reports, *chosen, tree=tree, target=",".join(targets))
    _holds(ran, junit, ktap, targets, extent)


def _holds(ran: Ran, junit: Path, ktap: Path, targets: Sequence[str], extent: str) -> None:
    """The run says that the series does what it says, and so do its reports."""
    assert ran.status == 0
    jsonschema.validate(ran.report, schema.load("run"))
    assert ran.report["verdict"] == "pass"
    for target in targets:
        _judge(ran.rows(target), target, extent)
    failures = {suite.attrib["name"]: int(suite.attrib["failures"]) for suite in ElementTree.parse(junit).getroot()}
    assert failures == {
        **{f"sva.{target}.base.base": len(MOTIVE) for target in targets},
        **{f"sva.{target}.base.patched": 0 for target in targets},
        "verdict": 0,
    }
    lines = ktap.read_text().splitlines()
    assert lines[0] == "KTAP version 1"
    named = re.findall(r"^ +not ok \d+ (\S+)", "\n".join(lines), re.MULTILINE)
    failed = [name for name in named if name in ran.rows()]  # and not the groups that they are in
    assert sorted(failed) == sorted(MOTIVE * len(targets)), "the base's, and no other"


def _judge(rows: Mapping[str, Mapping[str, Any]], target: str, extent: str) -> None:
    """The scenarios of one target: each ran on the patched kernel, or is known not to be for it."""
    reasons = {name: row["patched"]["reason"] for name, row in rows.items() if row["patched"]["status"] == "skip"}
    excused = {name for name, reason in reasons.items() if reason.startswith((*NOT_HERE, *NOT_ON[target]))}
    assert set(reasons) == excused, (target, reasons)
    if extent == FULL:
        for words in (*NOT_HERE, *NOT_ON[target]):
            assert any(reason.startswith(words) for reason in reasons.values()), (target, words)
    rows = {name: row for name, row in rows.items() if name not in excused}
    assert len(rows) >= AIM[extent]
    for name, row in rows.items():
        assert row["patched"]["status"] == "pass", (target, name, row)
        if row["base"]["status"] == "skip":
            assert "iommu_sva_bind_device_pasid" in row["base"]["reason"], (target, name, row)
            assert row["change"] == "new pass"
        elif row["base"]["status"] == "fail":  # what the series is for
            assert name in MOTIVE and row["change"] == "fixed", (target, name, row)
        else:
            assert row["base"]["status"] == "pass", (target, name, row)
            assert row["change"] == "unchanged", (target, name, row)
    assert {"new pass", "fixed", "unchanged"} == {row["change"] for row in rows.values()}


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


CHOSEN = ("--scenario", "own-first-bind", "--scenario", "own-overflow")


def test_a_base_is_not_tested_after_a_sound_patched_kernel(kph: Kph) -> None:
    ran = kph("--series", SERIES, *CHOSEN, "--patched-first")
    assert ran.status == 0 and "none fails, so the base was not tested" in " ".join(ran.said.split())
    assert {(row["base"], row["change"]) for row in ran.rows().values()} == {(None, "patched only")}


def test_a_base_is_tested_after_a_patched_kernel_that_fails(kph: Kph) -> None:
    mutation = ROOT / "tests/data/mutations/01-range-check-dropped.patch"
    ran = kph("--series", SERIES, "--series", mutation, *CHOSEN, "--patched-first")
    assert ran.status == 1 and "so the other side is tested, too" in ran.said
    assert {name: row["change"] for name, row in ran.rows().items()} == {
        "own-first-bind": "new pass",
        "own-overflow": "new failure",
    }
