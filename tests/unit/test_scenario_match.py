from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import match
from harness.scenario.match import ABSENT

NUMBERS = st.integers(-(1 << 64), 1 << 64)


@pytest.mark.parametrize(
    ("matcher", "good", "bad"),
    [
        (3, [3], [4, "3", True, ABSENT]),
        (1, [1], [True]),
        (True, [True], [1, "true", ABSENT]),
        ("x", ["x"], ["X", 1, ABSENT]),
        ({"eq": 3}, [3], [2, ABSENT]),
        ({"ne": 3}, [2, "3", ABSENT], [3]),
        ({"ge": 3}, [3, 4], [2, "3", True, ABSENT]),
        ({"gt": 3}, [4], [3, ABSENT]),
        ({"le": 3}, [3, 2], [4, ABSENT]),
        ({"lt": 3}, [2], [3, ABSENT]),
        ({"ge": 1, "lt": 3}, [1, 2], [0, 3]),
        ({"in": [1, "a"]}, [1, "a"], [2, True, ABSENT]),
        ({"between": [1, 3]}, [1, 2, 3], [0, 4, ABSENT]),
        ({"any_of": [{"lt": 0}, 7]}, [-1, 7], [0, ABSENT]),
        ({"any_of": [{"absent": True}, {"ge": 1}]}, [ABSENT, 1], [0]),
        ({"matches": "^b[0-9]$"}, ["b1"], ["b", 1, ABSENT]),
        ({"absent": True}, [ABSENT], [0, None]),
    ],
)
def test_holds(matcher: Any, good: list[Any], bad: list[Any]) -> None:
    assert match.fault_in(matcher) is None
    assert [each for each in good if not match.holds(matcher, each)] == []
    assert [each for each in bad if match.holds(matcher, each)] == []
    assert match.describe(matcher)


@pytest.mark.parametrize(
    "matcher",
    [
        [1, 2],
        {},
        {"geq": 1},
        {"in": 3},
        {"between": [1, 2, 3]},
        {"any_of": []},
        {"any_of": [{"x": 1}]},
        {"absent": False},
        {"matches": "("},
        {"matches": 3},
        None,
    ],
)
def test_what_is_no_matcher_is_found(matcher: Any) -> None:
    assert match.fault_in(matcher)


@pytest.mark.parametrize(
    ("matcher", "words"),
    [
        (3, "= 3"),
        (True, "= true"),
        ({"ge": 1, "lt": 4}, ">= 1 and < 4"),
        ({"in": [1, 2]}, "one of 1, 2"),
        ({"between": [1, 3]}, "in 1..3"),
        ({"any_of": [{"absent": True}, {"ge": 1}]}, "(absent or >= 1)"),
        ({"matches": "x"}, "matching /x/"),
        ({"ne": "a"}, "!= a"),
    ],
)
def test_describe(matcher: Any, words: str) -> None:
    assert match.describe(matcher) == words


@given(NUMBERS, NUMBERS)
def test_order_words_are_consistent(wanted: int, value: int) -> None:
    assert match.holds({"ge": wanted}, value) != match.holds({"lt": wanted}, value)
    assert match.holds({"le": wanted}, value) != match.holds({"gt": wanted}, value)
    assert match.holds({"eq": wanted}, value) != match.holds({"ne": wanted}, value)
    assert match.holds({"between": [wanted, wanted]}, value) == match.holds(wanted, value)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_between_is_ge_and_le(low: int, high: int, value: int) -> None:
    assert match.holds({"between": [low, high]}, value) == match.holds({"ge": low, "le": high}, value)
