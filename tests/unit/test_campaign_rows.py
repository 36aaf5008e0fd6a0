"""From what each kernel did to rows: scenarios asked for, tests that only one of them has, sides without evidence."""

from __future__ import annotations

from harness.campaign import rows
from harness.campaign.result import SideResult
from harness.model import Cell, Change, Outcome, Splat, SplatKind, Status, Verdict

WARN = Splat(SplatKind.WARN, "WARNING in f", ("f",), ("WARNING",), 1)


def side(
    *outcomes: tuple[str, str], otherwise: str = "", failure: str = "", boot: tuple[Splat, ...] = ()
) -> SideResult:
    made = tuple(Outcome(name, Status(status), "", 0.1) for name, status in outcomes)
    rest = Outcome("", Status(otherwise), f"it is {otherwise}", 0.0) if otherwise else None
    return SideResult(made, boot, 1, 1.0, failure, otherwise=rest)


def cell(base: SideResult, patched: SideResult | None = None, *, asked: tuple[str, ...] = ()) -> Cell:
    results = {"base": base} if patched is None else {"base": base, "patched": patched}
    return rows.cell("t", "base", {name: f"about {name}" for name in asked}, results, "tcg", {"qemu": "1"}, "suite")


def changes(found: Cell) -> dict[str, Change]:
    return {row.scenario: row.change for row in found.rows}


def test_scenarios_come_in_the_order_asked_for() -> None:
    found = cell(side(("b", "pass"), ("a", "pass")), side(("b", "pass"), ("a", "fail")), asked=("b", "a"))
    assert changes(found) == {"b": Change.UNCHANGED, "a": Change.REGRESSED}
    assert [row.summary for row in found.rows] == ["about b", "about a"]
    assert (
        found.verdict is Verdict.FAIL
        and found.facts["boots"] == {"base": 1, "patched": 1}
        and found.facts["qemu"] == "1"
    )


def alone(patched: SideResult) -> Cell:
    return rows.cell("t", "base", {"a": "about a", "b": "about b"}, {"patched": patched}, "tcg", {}, "suite")


def test_a_patched_kernel_without_its_base() -> None:
    found = alone(side(("a", "pass"), ("b", "skip")))
    assert found.verdict is Verdict.PASS and set(changes(found).values()) == {Change.PATCHED_ONLY}
    assert all(row.base is None and row.patched is not None for row in found.rows)
    assert found.notes == ("skipped: 1; whether the base has what they need was not asked (--patched-first)",)
    assert alone(side(("a", "pass"), ("b", "pass"))).notes == ()


def test_what_must_be_asked_of_the_base() -> None:
    assert rows.sound(side(("a", "pass"), ("b", "skip")))
    for bad in ("fail", "hang", "crash", "error"):
        assert not rows.sound(side(("a", "pass"), ("b", bad)))
    assert not rows.sound(side(("a", "skip"), ("b", "skip"))), "nothing was seen"
    assert not rows.sound(side())
    assert not rows.sound(side(("a", "pass"), boot=(WARN,)))
    assert not rows.sound(side(("a", "pass"), failure="dies in boot"))
    warned = Outcome("a", Status.PASS, "", 0.1, splats=(WARN,))
    assert not rows.sound(SideResult((warned,), (), 1, 1.0, ""))


def test_a_kernel_that_is_not_built_gives_every_scenario_its_failure() -> None:
    broken = side(otherwise="fail", failure="it does not build")
    found = cell(side(("a", "pass"), ("b", "pass")), broken, asked=("a", "b"))
    assert changes(found) == {"a": Change.REGRESSED, "b": Change.REGRESSED}
    assert found.reasons[0] == "patched: it does not build"


def test_kernels_of_which_neither_was_tested_are_no_pass() -> None:
    """They are alike, and each of their scenarios says something of them; but none of it is of the series."""
    unbuilt, dead = side(otherwise="fail", failure="it does not build"), side(("a", "crash"), failure="dies in boot")
    for base in (unbuilt, dead):
        found = cell(base, unbuilt, asked=("a",))
        assert changes(found) == {"a": Change.UNCHANGED} and found.verdict is Verdict.ERROR
        assert found.reasons[-1] == "no evidence: nothing ran on the patched kernel"
    assert cell(unbuilt, asked=("a",)).verdict is Verdict.FAIL, "a tree alone that does not build"
    assert cell(unbuilt, side(("a", "pass")), asked=("a",)).verdict is Verdict.PASS


def test_a_test_that_only_one_kernel_has_is_a_skip_on_the_other() -> None:
    found = cell(side(("a", "pass"), ("gone", "pass")), side(("a", "pass"), ("new", "pass"), ("bad", "fail")))
    assert changes(found) == {
        "a": Change.UNCHANGED,
        "gone": Change.REGRESSED,
        "new": Change.NEW_PASS,
        "bad": Change.NEW_FAILURE,
    }


def test_tests_that_no_kernel_has_are_no_pass() -> None:
    none = side(otherwise="skip")
    for found in (cell(none), cell(none, none), cell(side(), side())):
        assert [row.scenario for row in found.rows] == ["suite"]
        assert found.verdict is Verdict.ERROR
    base = cell(none).rows[0].base
    assert base is not None and base.reason == "it is skip"


def test_a_patched_kernel_that_does_not_boot_regresses_the_tests_of_the_base() -> None:
    found = cell(side(("a", "pass"), ("b", "skip")), side(otherwise="crash", failure="kernel panic"))
    assert changes(found) == {"a": Change.REGRESSED, "b": Change.NEW_FAILURE}


def test_a_side_without_evidence_is_unknown() -> None:
    found = cell(side(("a", "pass")), side(otherwise="error", failure="no QEMU"), asked=("a",))
    assert changes(found) == {"a": Change.UNKNOWN} and found.verdict is Verdict.ERROR


def test_splats_of_the_boot_count_when_they_are_new() -> None:
    assert cell(side(("a", "pass")), side(("a", "pass"), boot=(WARN,))).verdict is Verdict.FAIL
    assert cell(side(("a", "pass"), boot=(WARN,)), side(("a", "pass"), boot=(WARN,))).verdict is Verdict.PASS
    assert cell(side(("a", "pass"), boot=(WARN,))).verdict is Verdict.FAIL
