"""Base against patched: the table of harness/verdict/compare.py, every line of it."""

from __future__ import annotations

import itertools

import pytest

from harness.model import Cell, Change, Outcome, Row, Splat, SplatKind, Status, Verdict
from harness.verdict import compare

OLD = Splat(SplatKind.WARN, "WARNING in old", ("old",), ("WARNING",), 1)
NEW = Splat(SplatKind.KASAN, "KASAN: use-after-free in new", ("new",), ("BUG",), 2)
BAD = ("fail", "hang", "crash")

# base, patched, new splats on patched -> change; "*" stands for each status, "bad" for each of BAD
TABLE = """
pass  pass  no   unchanged
pass  pass  yes  regressed
pass  skip  no   regressed
pass  skip  yes  regressed
pass  bad   no   regressed
pass  bad   yes  regressed
skip  skip  no   unchanged
skip  skip  yes  new failure
skip  pass  no   new pass
skip  pass  yes  new failure
skip  bad   no   new failure
skip  bad   yes  new failure
bad   pass  no   fixed
bad   pass  yes  new failure
bad   skip  no   regressed
bad   skip  yes  regressed
fail  fail  no   unchanged
fail  fail  yes  new failure
fail  hang  no   new failure
fail  hang  yes  new failure
fail  crash no   new failure
fail  crash yes  new failure
hang  fail  no   unchanged
hang  fail  yes  new failure
hang  hang  no   unchanged
hang  hang  yes  new failure
hang  crash no   unchanged
hang  crash yes  new failure
crash fail  no   unchanged
crash fail  yes  new failure
crash hang  no   unchanged
crash hang  yes  new failure
crash crash no   unchanged
crash crash yes  new failure
error *     no   unknown
error *     yes  unknown
*     error no   unknown
*     error yes  unknown
none  *     no   unknown
none  *     yes  unknown
*     none  no   unknown
error none  no   unknown
none  error no   unknown
none  none  no   unknown
"""


def _expand(word: str) -> tuple[str, ...]:
    return {"bad": BAD, "*": tuple(status.value for status in Status)}.get(word, (word,))


def _cases() -> dict[tuple[str, str, bool], Change]:
    cases = {}
    for line in TABLE.strip().splitlines():
        base, patched, fresh, change = line.split(None, 3)
        for one, other in itertools.product(_expand(base), _expand(patched)):
            cases[one, other, fresh == "yes"] = Change(change)
    return cases


CASES = _cases()


def outcome(status: str, *splats: Splat, name: str = "s") -> Outcome | None:
    return None if status == "none" else Outcome(name, Status(status), "", 0.1, splats=splats)


def row(base: str, patched: str, *, series: bool = True, fresh: bool = False, name: str = "s") -> Row:
    new = (NEW,) if fresh else ()
    return compare.row("", "t", "base", outcome(base, name=name), outcome(patched, *new, name=name), series)


def test_the_table_is_complete() -> None:
    sides = [status.value for status in Status] + ["none"]
    wanted = {(base, patched, fresh) for base in sides for patched in sides for fresh in (False, True)}
    assert wanted - set(CASES) == {(base, "none", True) for base in sides}, "no outcome has no splats"


@pytest.mark.parametrize(("base", "patched", "fresh"), sorted(CASES))
def test_change(base: str, patched: str, fresh: bool) -> None:
    before, after = outcome(base, OLD), outcome(patched, OLD, *([NEW] if fresh else []))
    assert compare.compare(before, after, True) is CASES[base, patched, fresh]
    if not fresh:
        assert compare.compare(outcome(base), outcome(patched, OLD), True, known=(OLD,)) is CASES[base, patched, False]


@pytest.mark.parametrize("base", [*Status, None])
@pytest.mark.parametrize("patched", [*Status, None])
def test_without_a_series_there_is_only_the_base(base: Status | None, patched: Status | None) -> None:
    change = compare.compare(outcome(base or "none"), outcome(patched or "none"), False)
    assert change is (Change.UNKNOWN if base in (None, Status.ERROR) else Change.BASE_ONLY)


def test_a_splat_that_went_away_is_fixed() -> None:
    assert compare.compare(outcome("pass", OLD), outcome("pass"), True) is Change.FIXED
    assert compare.compare(outcome("pass", OLD), outcome("pass", OLD), True) is Change.UNCHANGED
    assert compare.compare(outcome("pass", OLD), outcome("pass", OLD, NEW), True) is Change.REGRESSED


def test_a_row_tells_the_new_splats() -> None:
    made = compare.row("sum", "t", "kasan", outcome("pass", OLD), outcome("pass", OLD, NEW, NEW), True)
    assert made.new_splats == (NEW,)
    assert (made.summary, made.target, made.flavour, made.scenario) == ("sum", "t", "kasan", "s")
    assert compare.row("", "t", "base", outcome("pass", OLD), None, False).new_splats == ()
    with pytest.raises(ValueError, match="one side"):
        compare.row("", "t", "base", None, None, True)


# --- verdict ----------------------------------------------------------------------
_WORSE = (Change.REGRESSED, Change.NEW_FAILURE)


@pytest.mark.parametrize(("base", "patched", "fresh"), sorted(case for case in CASES if case[:2] != ("none", "none")))
def test_verdict_of_one_row(base: str, patched: str, fresh: bool) -> None:
    change = CASES[base, patched, fresh]
    verdict, reasons = compare.judge([row(base, patched, fresh=fresh)])
    ran = patched in ("pass", "fail")
    wanted = (
        Verdict.FAIL if change in _WORSE else Verdict.ERROR if change is Change.UNKNOWN or not ran else Verdict.PASS
    )
    assert verdict is wanted
    assert bool(reasons) == (verdict is not Verdict.PASS)


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([("pass", "pass"), ("skip", "pass"), ("skip", "skip")], Verdict.PASS),
        ([("pass", "pass"), ("fail", "fail"), ("crash", "crash")], Verdict.PASS),
        ([("pass", "pass"), ("skip", "crash")], Verdict.FAIL),
        ([("pass", "pass"), ("pass", "skip")], Verdict.FAIL),
        ([("pass", "pass"), ("pass", "error")], Verdict.ERROR),
        ([("pass", "fail"), ("pass", "error")], Verdict.FAIL),
        ([("pass", "fail"), ("none", "pass")], Verdict.FAIL),
        ([("skip", "skip"), ("skip", "skip")], Verdict.ERROR),
        ([("crash", "crash"), ("hang", "hang")], Verdict.ERROR),
        ([("skip", "skip"), ("crash", "crash")], Verdict.ERROR),
        ([("pass", "none"), ("pass", "none")], Verdict.ERROR),
        ([], Verdict.ERROR),
    ],
)
def test_verdict_of_a_series(pairs: list[tuple[str, str]], verdict: Verdict) -> None:
    rows = [row(*pair, name=f"s{number}") for number, pair in enumerate(pairs)]
    assert compare.judge(rows)[0] is verdict
    assert compare.judge(rows[::-1])[0] is verdict


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        (["pass", "pass", "skip"], Verdict.PASS),
        (["pass", "fail"], Verdict.FAIL),
        (["pass", "hang"], Verdict.FAIL),
        (["crash"], Verdict.FAIL),
        (["skip", "skip"], Verdict.ERROR),
        (["pass", "error"], Verdict.ERROR),
        (["error"], Verdict.ERROR),
        (["fail", "error"], Verdict.FAIL),
        ([], Verdict.ERROR),
    ],
)
def test_verdict_of_a_tree(statuses: list[str], verdict: Verdict) -> None:
    rows = [row(status, "none", series=False, name=f"s{number}") for number, status in enumerate(statuses)]
    assert compare.judge(rows)[0] is verdict


def test_a_splat_on_the_base_alone_fails_the_tree() -> None:
    rows = [compare.row("", "t", "base", outcome("pass", OLD), None, False)]
    assert compare.judge(rows) == (Verdict.FAIL, ("1 scenario left splats: s",))


@pytest.mark.parametrize("series", [True, False])
def test_splats_outside_of_scenarios_fail(series: bool) -> None:
    rows = [row("pass", "pass" if series else "none", series=series)]
    assert compare.judge(rows, (NEW, NEW)) == (Verdict.FAIL, (f"outside of any scenario: {NEW.title}",))


def test_advice_never_fails() -> None:
    advised = Outcome("s", Status.PASS, "", 0.1, advice=("our choice",))
    rows = [compare.row("", "t", "base", advised, advised, True)]
    assert compare.judge(rows) == (Verdict.PASS, ())


def test_a_tree_is_not_blamed_for_what_it_lacks_but_its_patched_kernel_must_be_better() -> None:
    needy = Outcome("s", Status.FAIL, "no space", 0.1, lacking="no own PASIDs")
    fine, bad = Outcome("s", Status.PASS, "", 0.1), Outcome("s", Status.FAIL, "no space", 0.1)
    alone = [compare.row("", "t", "base", needy, None, False), row("pass", "none", series=False)]
    assert compare.judge(alone) == (Verdict.PASS, ())
    assert compare.judge([compare.row("", "t", "base", bad, None, False)])[0] is Verdict.FAIL
    splat = Outcome("s", Status.FAIL, "no space", 0.1, lacking="no own PASIDs", splats=(NEW,))
    verdict, reasons = compare.judge([compare.row("", "t", "base", splat, None, False)])
    assert (verdict, reasons) == (Verdict.FAIL, ("1 scenario left splats: s",))
    assert compare.compare(needy, fine, True) is Change.FIXED
    # A series that brings the capability, and yet does not help.
    assert compare.compare(needy, bad, True) is Change.NEW_FAILURE
    assert compare.compare(needy, needy, True) is Change.UNCHANGED


def test_a_failure_before_the_first_step_is_no_evidence_unless_the_series_brings_it() -> None:
    good, early = Outcome("s", Status.PASS, "", 0.1), Outcome("s", Status.FAIL, "no oracle", 0.1, began=False)
    assert compare.compare(early, early, True) is Change.UNKNOWN
    assert compare.judge([compare.row("", "t", "base", early, early, True)])[0] is Verdict.ERROR
    assert compare.compare(good, early, True) is Change.REGRESSED
    assert compare.compare(early, good, True) is Change.FIXED


def test_reasons_are_worst_first_and_short() -> None:
    rows = [row("none", "pass", name="gap"), row("skip", "hang", name="new")]
    rows += [row("pass", "fail", name=f"reg{number}") for number in range(7)]
    verdict, reasons = compare.judge(rows, (NEW,))
    assert verdict is Verdict.FAIL
    assert reasons == (
        "7 scenarios regressed: reg0, reg1, reg2, reg3, reg4, ...",
        "1 scenario failed in a new way: new",
        "outside of any scenario: KASAN: use-after-free in new",
        "1 scenario gave no evidence (error, or not run): gap",
    )


# --- several targets --------------------------------------------------------------
@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ("pass", "pass"),
        ("pass pass", "pass"),
        ("pass fail", "fail"),
        ("error pass", "error"),
        ("error fail", "fail"),
        ("fail error pass", "fail"),
        ("error error", "error"),
        ("", "error"),
    ],
)
def test_a_run_is_judged_by_its_targets(verdicts: str, whole: str) -> None:
    cells = [
        Cell(f"t{number}", Verdict(word), () if word == "pass" else (f"it is {word}",), "tcg", ())
        for number, word in enumerate(verdicts.split())
    ]
    verdict, reasons = compare.together(cells)
    assert verdict is Verdict(whole)
    wanted = [cell for word in ("fail", "error") for cell in cells if cell.verdict == word]
    if len(cells) > 1:
        assert reasons == tuple(f"{cell.target}: it is {cell.verdict}" for cell in wanted), "neither hides the other"
    assert compare.together([Cell("t", Verdict.FAIL, ("r",), "tcg", ())]) == (Verdict.FAIL, ("r",))
