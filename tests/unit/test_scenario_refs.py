from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import refs

SCOPE = {
    "first": {"pasid": 5, "name": "b1", "done": True},
    "facts": {"dma0.max_pasids": 16, "release": "7.3"},
    "i": 2,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$first.pasid", 5),
        ("$first.name", "b1"),
        ("$first.done", True),
        ("$facts.dma0.max_pasids", 16),
        ("$facts.dma0.max_pasids - 1", 15),
        ("$first.pasid + 0x80000000", 5 + 0x80000000),
        ("$first.pasid+$i - 1", 6),
        ("$i * 50", 100),
        ("$i * $first.pasid - $i * 2 + 1", 7),
        ("$first.pasid - $i * $i", 1),
        ("  ", None),
    ],
)
def test_expressions(text: str, value: object) -> None:
    if value is None:
        with pytest.raises(refs.BadReference):
            refs.parse(text)
    else:
        assert refs.evaluate(text, SCOPE) == value


@pytest.mark.parametrize(
    "text", ["$", "$first.pasid +", "$a $b", "+ $a", "$a *", "$a * * 2", "* 2", "$a.b - - 1", "$9", "$first.", "5x"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(refs.BadReference):
        refs.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$none.x", "nothing was saved as 'none'"),
        ("$first.x", "has no 'x'"),
        ("$first", "whole reply"),
        ("$i.x", "has no 'x'"),
        ("$first.name + 1", "not a number"),
        ("$first.done + 1", "not a number"),
        ("2 * $first.name", "not a number"),
    ],
)
def test_what_is_not_there_is_named(text: str, why: str) -> None:
    with pytest.raises(refs.BadReference, match=why):
        refs.evaluate(text, SCOPE)


def test_resolve_goes_into_mappings_and_lists_and_leaves_plain_values() -> None:
    raw = {"a": "$first.pasid", "b": [{"ge": "$i"}, "x"], "c": "n${i}-${first.name}", "d": 7, "e": "cost: 5$"}
    assert refs.resolve(raw, SCOPE) == {"a": 5, "b": [{"ge": 2}, "x"], "c": "n2-b1", "d": 7, "e": "cost: 5$"}


def test_inside_text_expressions_may_count() -> None:
    assert refs.resolve("b${i + 1}", SCOPE) == "b3"


def test_names_finds_every_reference() -> None:
    found = {str(name) for name in refs.names({"a": ["$x.y + $i"], "b": "n${j}", "c": 3, "d": {"e": "$facts.a.b"}})}
    assert found == {"$x.y", "$i", "$j", "$facts.a.b"}


@given(st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 1 << 64)), max_size=6), st.integers(0, 1 << 32))
def test_sums_are_as_python_has_them(rest: list[tuple[str, int]], start: int) -> None:
    text = "$i" + "".join(f" {sign} {number}" for sign, number in rest)
    expected = start + sum(number if sign == "+" else -number for sign, number in rest)
    assert refs.evaluate(text, {"i": start}) == expected
