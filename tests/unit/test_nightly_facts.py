"""What is new, fixed, flaky and dropped in a night, and what its exit status is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import CellState, Night, NightState
from harness.errors import UserError
from harness.report import nightly
from harness.report.nightly import facts
from harness.report.nightly.facts import Exit, Line
from tests.unit import nights

Kept = tuple[History, Night]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    history, night = nights.history(tmp_path)
    with history:
        yield history, night


def _names(lines: tuple[Line, ...]) -> list[tuple[str, str]]:
    return [(line.cell.place.series, line.result.scenario) for line in lines]


def test_each_scenario_is_in_its_list(kept: Kept) -> None:
    found = facts.of(*kept)
    assert _names(found.new) == [("pasid-v3", "p01-own-bind")]
    assert _names(found.fixed) == [("pasid-v3", "g04-twice")]
    assert _names(found.flaky) == [("pasid-v3", "race-exit")]
    assert _names(found.quarantined) == [("pasid-v3", "g07-leak")]
    assert ("", "g04-twice") in _names(found.failing) and ("pasid-v3", "g07-leak") not in _names(found.failing)
    assert [cell.place for cell in found.dropped] == [nights.DEBIAN]
    assert [cell.place for cell in found.silent] == [nights.SILENT]
    assert found.new[0].bisected and found.new[0].bisected.culprit == "ab" * 20


def test_an_earlier_night_is_told_as_it_was_then(kept: Kept) -> None:
    history, _ = kept
    before = facts.of(history, history.nights()[1])
    assert not before.new and not before.fixed and not before.flaky
    assert ("pasid-v3", "g04-twice") in _names(before.failing)


def test_a_series_passes_only_when_nothing_casts_doubt_on_it(kept: Kept) -> None:
    doubts = {series.name: series.doubt for series in facts.of(*kept).series}
    assert doubts["cleanup-v1"] == ""
    assert "fail" in doubts["pasid-v3"] and "does not build" in doubts["typo-v1"]


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"state": CellState.DROPPED, "reason": "no time"}, "dropped (no time)"),
        ({"state": CellState.FAILED}, "failed"),
        ({"state": CellState.PLANNED}, "planned"),
        ({"verdict": "error", "reason": "no QEMU"}, "error (no QEMU)"),
        ({"verdict": ""}, "no verdict"),
    ],
)
def test_one_cell_of_a_series_without_a_pass_is_enough(kept: Kept, change: dict[str, str], doubt: str) -> None:
    history, night = kept
    cell = next(each for each in history.cells(night.id) if each.place == nights.GOOD_ARM)
    history.update(replace(cell, **change))  # type: ignore[arg-type]
    series = {each.name: each.doubt for each in facts.of(history, night).series}
    assert series["cleanup-v1"] == f"{nights.GOOD_ARM}: {doubt}"


def test_a_quarantined_or_flaky_scenario_casts_doubt_on_its_series_as_well(kept: Kept) -> None:
    history, night = kept
    cell = next(each for each in history.cells(night.id) if each.place == nights.GOOD)
    first, second = history.results(cell)
    history.update(cell, [replace(first, status="fail", quarantined="known"), second])
    assert "is quarantined" in next(each.doubt for each in facts.of(history, night).series if each.name == "cleanup-v1")
    history.update(cell, [replace(first, tries=("fail", "pass")), second])
    assert "is flaky" in next(each.doubt for each in facts.of(history, night).series if each.name == "cleanup-v1")


def test_nobody_vouches_for_a_night_that_was_cut(kept: Kept) -> None:
    history, night = kept
    cut = facts.of(history, replace(night, state=NightState.CUT))
    assert all(series.doubt for series in cut.series)


def test_exit_status(kept: Kept) -> None:
    history, night = kept
    first, second, _ = history.nights()
    assert facts.of(history, night).exit is Exit.NEWLY_WRONG
    assert facts.of(history, second).exit is Exit.NO_EVIDENCE, "a cell failed by fault of the host"
    for cell in history.cells(second.id):
        if cell.state is CellState.FAILED:
            history.update(replace(cell, state=CellState.DROPPED))
    assert facts.of(history, second).exit is Exit.FINE, "what failed before fails again"
    assert facts.of(history, replace(second, state=NightState.CUT)).exit is Exit.NO_EVIDENCE
    assert facts.of(history, first).exit is Exit.NO_EVIDENCE
    plain = next(each for each in history.cells(second.id) if each.place == nights.GOOD)
    history.update(replace(plain, verdict="fail", reason="a splat in boot"))
    assert facts.of(history, second).exit is Exit.NEWLY_WRONG


def test_forms_are_found_by_being_there(kept: Kept) -> None:
    assert nightly.forms() == ("b4", "junit", "kcidb", "mail", "webhook")
    for form in nightly.forms():
        text = nightly.render(form, *kept)
        assert text == nightly.render(form, *kept) and text.endswith("\n") and "\x1b" not in text and "\0" not in text


def test_a_report_is_asked_for_as_for_a_run(tmp_path: Path) -> None:
    assert nightly.parse_request("kcidb=a.json") == ("kcidb", Path("a.json"))
    assert nightly.parse_request("mail") == nightly.parse_request("mail=-") == ("mail", None)
    for wrong in ("kcidb=", "facts", "yaml=x"):
        with pytest.raises(UserError):
            nightly.parse_request(wrong)


def test_a_night_without_cells_is_told_in_every_form(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        night = history.begin("empty", "v1")
        for form in nightly.forms():
            assert nightly.render(form, history, night)
