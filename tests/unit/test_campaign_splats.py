"""After a suite: places for the frames of every splat, and the known ones set apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.build.symbols import WITHOUT_LINES, Symbols
from harness.campaign import rows, splats
from harness.campaign.result import SideResult
from harness.errors import InfraError
from harness.model import Change, Kernel, Known, Module, Outcome, Pattern, Place, Splat, SplatKind, Status, Verdict
from harness.proc import Door

UAF = Splat(SplatKind.KASAN, "KASAN: use-after-free Read in f", ("f",), (" f+0x1/0x2",), 3)
WARN = Splat(SplatKind.WARN, "WARNING in g", ("g",), (" g+0x1/0x2",), 4)
PLACE = Place("f+0x1/0x2", "f", "a.c", 7)
ABOUT_UAF = Pattern("KASAN: *", "told")


class Images(Symbols):
    """Images that have what the test says."""

    def __init__(self, lines: bool = True, fails: bool = False) -> None:
        nothing = Path("/nonexistent")
        super().__init__(Kernel("", nothing, nothing, nothing, nothing, "", 0.0), Module("", ()), "", Door())
        self.lines, self.fails, self.asked = lines, fails, 0

    def known(self) -> bool:
        self.asked += 1
        return self.lines

    def placed(self, splats: tuple[Splat, ...] | list[Splat]) -> tuple[Splat, ...]:  # type: ignore[override]
        if self.fails:
            raise InfraError("addr2line failed")
        return tuple(dataclasses.replace(splat, places=(PLACE,)) for splat in splats)


def side(*found: Splat, boot: tuple[Splat, ...] = (), otherwise: Outcome | None = None) -> SideResult:
    return SideResult((Outcome("a", Status.PASS, "", 1.0, splats=found),), boot, 1, 1.0, "", otherwise=otherwise)


def told(result: SideResult, *patterns: Pattern, images: Images | None = None) -> SideResult:
    return splats.told(result, images or Images(), patterns, "t")


def test_every_splat_gets_its_places() -> None:
    rest = Outcome("", Status.CRASH, "it dies", 0.0, splats=(WARN,))
    found = told(side(UAF, WARN, boot=(WARN,), otherwise=rest))
    assert found.otherwise
    everywhere = (*found.outcomes[0].splats, *found.boot_splats, *found.otherwise.splats)
    assert [splat.title for splat in everywhere] == [UAF.title, WARN.title, WARN.title, WARN.title]
    assert all(splat.places == (PLACE,) for splat in everywhere)
    assert found.notes == ()


def test_nothing_is_read_where_there_is_no_splat() -> None:
    images = Images()
    assert told(side(), images=images) == side() and images.asked == 0


def test_no_line_numbers_are_told_once() -> None:
    found = told(side(UAF, WARN), images=Images(lines=False))
    assert found.notes == (WITHOUT_LINES,) and found.outcomes[0].splats == (UAF, WARN)
    cell = rows.cell("t", "base", {}, {"base": found, "patched": found}, "tcg", {}, "suite")
    assert cell.notes == (WITHOUT_LINES,)
    one = rows.cell("t", "base", {}, {"base": side(), "patched": found}, "tcg", {}, "suite")
    assert one.notes == (f"patched: {WITHOUT_LINES}",)


def test_what_fails_costs_the_line_numbers_only() -> None:
    found = told(side(UAF), images=Images(fails=True))
    assert found.outcomes == side(UAF).outcomes and found.notes == ("no line numbers: addr2line failed",)


def test_known_splats_do_not_count_anywhere() -> None:
    found = told(side(UAF, boot=(UAF,)), ABOUT_UAF)
    placed = Known(dataclasses.replace(UAF, places=(PLACE,)), ABOUT_UAF)
    assert found.outcomes[0].status is Status.PASS and found.outcomes[0].splats == ()
    assert (found.outcomes[0].known, found.known, found.boot_splats) == ((placed,), (placed,), ())
    for results in ({"base": found}, {"base": told(side()), "patched": found}):
        assert rows.cell("t", "kasan", {}, results, "tcg", {}, "suite").verdict is Verdict.PASS


def test_without_the_pattern_they_count() -> None:
    bad = told(side(UAF))
    assert rows.cell("t", "kasan", {}, {"base": bad}, "tcg", {}, "suite").verdict is Verdict.FAIL
    cell = rows.cell("t", "kasan", {}, {"base": told(side()), "patched": bad}, "tcg", {}, "suite")
    assert (cell.verdict, cell.rows[0].change) == (Verdict.FAIL, Change.REGRESSED)


def _sides(splat: Splat) -> dict[str, SideResult]:
    """The splat in scenario a on the base, and in scenario b on the patched kernel."""
    fine, bad = Outcome("", Status.PASS, "", 1.0), Outcome("", Status.PASS, "", 1.0, splats=(splat,))
    named = {"base": {"a": bad, "b": fine}, "patched": {"a": fine, "b": bad}}
    return {
        side: told(
            SideResult(tuple(dataclasses.replace(each, scenario=name) for name, each in found.items()), (), 1, 1.0, "")
        )
        for side, found in named.items()
    }


@pytest.mark.parametrize("kind", [kind for kind in SplatKind if kind is not SplatKind.PANIC])
def test_a_splat_of_the_base_in_another_scenario_is_not_new(kind: SplatKind) -> None:
    cell = rows.cell("t", "leak", {}, _sides(Splat(kind, "x in f", ("f",), (), 1)), "tcg", {}, "suite")
    assert cell.verdict is Verdict.PASS
    assert {row.scenario: row.change for row in cell.rows} == {"a": Change.FIXED, "b": Change.UNCHANGED}
