"""Several targets in one run, and a target of the user's own: one file beside the run."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from harness import schema
from tests.vm.conftest import ROOT, SERIES, Everything, Kph

SOME = ("--scenario", "global-first-bind", "--scenario", "own-first-bind")


def _derived(folder: Path, *changes: tuple[str, str], of: str = "arm64-smmuv3") -> Path:
    """A third target: a known one in which each of ``changes`` (pattern, text) replaces a line's part."""
    text = (ROOT / f"qemu/machines/{of}.yaml").read_text()
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count == 1, (pattern, count)
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


def test_all_targets_are_side_by_side(everything: Everything) -> None:
    ran = everything
    assert ran.status == 0
    jsonschema.validate(ran.report, schema.load("run"))
    names = [each["name"] for each in ran.report["targets"]]
    assert {"arm64-smmuv3", "x86_64-vtd"} <= set(names)
    rows = {(row["target"], row["id"]): row["change"] for row in ran.report["scenarios"]}
    for name in names:
        assert (rows[name, "global-first-bind"], rows[name, "own-first-bind"]) == ("unchanged", "new pass")
    assert len(rows) == len(names) * len(ran.rows(names[0]))
    assert all((ran.folder / name / "patched/boot-1/console.log").is_file() for name in names)
    suites = [suite.attrib["name"] for suite in ElementTree.parse(ran.junit).getroot()]
    assert suites == [*(f"sva.{name}.base.{side}" for name in names for side in ("base", "patched")), "verdict"]
    assert any(line.split() == names for line in ran.said.splitlines())


def test_a_third_target_is_one_file(kph: Kph, tmp_path: Path) -> None:
    file = _derived(tmp_path, (r"-cpu, cortex-a57\]", "-cpu, cortex-a72]"), (r"^memory_mib: 256", "memory_mib: 384"))
    ran = kph("--series", SERIES, *SOME, target=str(file))
    assert ran.status == 0
    assert {row["target"] for row in ran.report["scenarios"]} == {"mine"}
    assert ran.rows()["own-first-bind"]["change"] == "new pass"
    command = (ran.folder / "commands.log").read_text()
    assert "cortex-a72" in command and " 384M" in command


def test_a_target_that_cannot_boot_costs_its_own_results_only(kph: Kph, tmp_path: Path) -> None:
    """Without its console and the agent's port the guest is silent; the other target is judged all the same."""
    file = _derived(
        tmp_path, (r"console=ttyS0", "console=ttyS3"), (r"kph.port=ttyS1", "kph.port=ttyS3"), of="x86_64-vtd"
    )
    ran = kph("--series", SERIES, *SOME, target=f"{file},x86_64-vtd")
    verdicts = {each["name"]: each["verdict"] for each in ran.report["targets"]}
    assert ran.status == 3 and verdicts == {"mine": "error", "x86_64-vtd": "pass"}
    assert "so nothing can be said of the series on mine" in " ".join(ran.said.split())


@pytest.mark.parametrize("target", ["./missing.yaml", "arm64"])
def test_an_unknown_target_is_a_usage_error(kph: Kph, target: str) -> None:
    assert kph(target=target).status == 2
