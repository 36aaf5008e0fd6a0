"""Runs that are compared with each other."""

from __future__ import annotations

from benchmarks.steady.results import Once, Place, differences, page, statuses

FIRST: Place = ("x86_64-vtd", "base", "one", "base")
SECOND: Place = ("x86_64-vtd", "base", "one", "patched")


def once(number: int, first: str = "pass", second: str | None = "pass", verdict: str = "pass") -> Once:
    said = {FIRST: first} | ({SECOND: second} if second else {})
    return Once(number, number % 2 == 0, 1.5, 0, verdict, said)


def test_equal_runs_do_not_differ() -> None:
    runs = [once(1), once(2), once(3)]
    assert differences(runs) == ()
    text = page(runs, {"cores": "2"}, "make steady")
    assert "**6 results, none of which differs from run to run.**" in text
    assert "In 1 of them" in text and "| 2 | loaded | 1.5 | pass | 2 | 0 | 0 | 0 | 0 |" in text


def test_the_one_that_differs_is_named_with_its_run() -> None:
    runs = [once(1), once(2, second="hang"), once(3), once(4, first="pass; KASAN: x", second=None, verdict="fail")]
    first, second = differences(runs)
    assert (first.place, first.usual, first.others) == (FIRST, "pass", {4: "pass; KASAN: x"})
    assert (second.place, second.others) == (SECOND, {2: "hang", 4: "absent"})
    text = page(runs, {}, "make steady")
    assert "**3 of 7 results differ; verdicts: fail, pass.**" in text
    assert "| one on x86_64-vtd (base), patched | pass | hang in run 2, absent in run 4 |" in text
    assert "| 2 | loaded | 1.5 | pass | 1 | 0 | 0 | 1 | 1 |" in text


def test_a_different_verdict_of_equal_results_is_told() -> None:
    assert "verdicts: error, pass" in page([once(1), once(2, verdict="error")], {}, "x")


def test_a_report_is_read_with_its_splats() -> None:
    outcome = {"status": "pass", "splats": []}
    bad = {"status": "crash", "splats": [{"title": "KASAN: x"}, {"title": "WARNING in y"}]}
    row = {"target": "t", "flavour": "kasan", "id": "s", "base": outcome, "patched": bad}
    alone = {"target": "t", "flavour": "base", "id": "s", "base": outcome, "patched": None}
    assert statuses({"scenarios": [row, alone]}) == {
        ("t", "kasan", "s", "base"): "pass",
        ("t", "kasan", "s", "patched"): "crash; KASAN: x; WARNING in y",
        ("t", "base", "s", "base"): "pass",
    }
