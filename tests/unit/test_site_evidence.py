"""What the page of a run takes from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import report
from harness.campaign.nightly.records import Cell, CellState, Place
from harness.report.site import evidence
from tests.unit import report_results as results


def cell(folder: Path | str, target: str = "x86_64-vtd") -> Cell:
    place = Place("stable", "", target, "base", "sva")
    return Cell(1, 1, place, "~/linux", "c0ffee", "7.3.4", "key", CellState.DONE, folder=str(folder))


def test_of_a_report_as_kph_writes_it(tmp_path: Path) -> None:
    result = results.failing()
    report.write("json", result, tmp_path / "report.json")
    found = evidence.read(cell(tmp_path, result.cells[0].target))
    assert found.reasons == result.reasons
    assert [phase.seconds for phase in found.phases] == [round(phase.seconds, 3) for phase in result.phases]
    assert found.series == (result.series.title if result.series else "")
    wrong = [row.scenario for row in result.rows if row.patched and any(not step.ok for step in row.patched.steps)]
    assert wrong and [scenario for scenario, _ in found.steps] == wrong
    assert found.failed(wrong[0])[0].expected and found.summary(wrong[0])


def test_of_another_target_only_the_phases(tmp_path: Path) -> None:
    report.write("json", results.failing(), tmp_path / "report.json")
    found = evidence.read(cell(tmp_path, "riscv"))
    assert found.phases and not found.summaries and not found.steps


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"scenarios": 3}', "[" * 100_000, '{"scenarios": [{}]}'])
def test_what_is_no_report_adds_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    assert evidence.read(cell(tmp_path)) == evidence.Report()


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    for folder in ("", tmp_path / "gone"):
        assert evidence.report_file(cell(folder)) is None
        assert evidence.read(cell(folder)) == evidence.Report()
