"""The table and the document of the benchmark."""

from __future__ import annotations

import json

import pytest

from benchmarks import table, words
from benchmarks.document import document
from benchmarks.model import CaseResult, Limit, Measure, Report, Unit


def _report(*measures: Measure, failure: str = "") -> Report:
    case = CaseResult("a", "edits", measures, 12.0, (0.5, 1.5), failure)
    return Report("2026-01-01 00:00 UTC", {"cores": "2"}, 3, (case,))


def _row(measure: Measure) -> list[str]:
    text = table.render(_report(measure))
    line = next(each for each in text.splitlines() if each.startswith(f"| {measure.what}"))
    return [word.strip() for word in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0412, Unit.SECONDS, "0.041 s"),
        (1.234, Unit.SECONDS, "1.23 s"),
        (231.36, Unit.SECONDS, "231.4 s"),
        (1.5 * 2**30, Unit.BYTES, "1.5 GiB"),
        (512, Unit.BYTES, "512 B"),
        (0.345, Unit.TIMES, "0.34 x"),
        (14.6, Unit.TIMES, "15 x"),
        (float("nan"), Unit.SECONDS, "?"),
    ],
)
def test_numbers_have_the_digits_that_mean_something(value: float, unit: Unit, shown: str) -> None:
    assert words.number(value, unit) == shown


def test_a_row_shows_its_spread_and_whether_the_limit_holds() -> None:
    row = _row(Measure("a", "edit", "kph", Unit.SECONDS, (14.0, 16.0, 12.0), Limit(15.0)))
    assert row == ["edit", "kph", "14.0 s", "12.0 s", "16.0 s", "3", "≤ 15 s", "yes"]


def test_a_limit_that_does_not_hold_is_seen() -> None:
    row = _row(Measure("c", "cheaper", "kph", Unit.TIMES, (9.0,), Limit(10.0, at_least=True)))
    assert row == ["cheaper", "kph", "9.00 x", "", "", "1", "≥ 10 x", "**no**"]


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    measure = Measure("a", "edit", "virtme-ng", Unit.SECONDS, (), Limit(1.0), failure="no | QEMU\nhere")
    assert _row(measure)[2:] == ["not measured", "", "", "0", "≤ 1 s", "?"]
    assert "- **edit, virtme-ng**: no \\| QEMU here" in table.render(_report(measure))


def test_a_case_that_ended_early_is_said() -> None:
    assert "**This case ended early**: no disk" in table.render(_report(failure="no disk"))


def test_cases_are_in_the_order_of_their_letters() -> None:
    cases = tuple(CaseResult(key, f"title of {key}", (), 1.0, (0.0, 0.0)) for key in "eab")
    report = Report("", {}, 1, cases)
    text = table.render(report)
    assert text.index("title of a") < text.index("title of b") < text.index("title of e")
    assert [each["key"] for each in document(report)["cases"]] == ["a", "b", "e"]


def test_the_document_has_every_value_and_is_json() -> None:
    measures = (
        Measure("a", "edit", "kph", Unit.SECONDS, (14.0, 16.0), Limit(14.5)),
        Measure("a", "edit", "make", Unit.SECONDS, (), failure="no make"),
    )
    known = json.loads(json.dumps(document(_report(*measures))))
    first, second = known["cases"][0]["measures"]
    assert first["values"] == [14.0, 16.0]
    assert (first["median"], first["holds"]) == (15.0, False)
    assert (second["median"], second["holds"], second["failure"]) == (None, None, "no make")
