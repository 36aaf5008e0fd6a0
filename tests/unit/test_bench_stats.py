"""Statistics of the benchmark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import stats
from benchmarks.turns import NotMeasured, Numbers, Taken, alternate
from harness.errors import InfraError

_POSITIVE = st.floats(min_value=0.001, max_value=1e6)


def test_of_nothing_there_is_no_summary() -> None:
    assert stats.summary(()) is None


@given(st.lists(_POSITIVE, min_size=1, max_size=20))
def test_the_median_lies_between_the_extremes(values: list[float]) -> None:
    found = stats.summary(values)
    assert found is not None
    assert found.low <= found.median <= found.high
    assert found.runs == len(values)


def test_pairs_are_of_runs_next_to_each_other() -> None:
    assert stats.pairwise((2.0, 9.0, 4.0), (1.0, 3.0)) == (2.0, 3.0)


def test_what_took_no_time_has_no_ratio() -> None:
    assert stats.pairwise((2.0, 9.0), (0.0, 3.0)) == (3.0,)
    assert stats.of_medians((1.0,), (0.0,)) == ()


def test_medians_need_no_partners() -> None:
    assert stats.of_medians((10.0, 20.0, 90.0), (2.0,)) == (10.0,)
    assert stats.of_medians((), (2.0,)) == ()


def test_runs_take_turns() -> None:
    order: list[str] = []

    def player(name: str) -> Numbers:
        order.append(name)
        return {"seconds": float(len(order))}

    taken = alternate(2, {"a": lambda: player("a"), "b": lambda: player("b")})
    assert order == ["a", "b", "a", "b"]
    assert taken["b"].of("seconds") == (2.0, 4.0)
    assert taken["b"].of("other") == ()


@pytest.mark.parametrize(
    "error", [NotMeasured("no machine"), InfraError("no machine"), OSError("no machine"), KeyError("no machine")]
)
def test_one_that_fails_keeps_what_it_has_and_does_not_stop_the_others(error: Exception) -> None:
    calls = iter((1.0, error, 3.0))

    def failing() -> Numbers:
        value = next(calls)
        if isinstance(value, Exception):
            raise value
        return {"seconds": value}

    taken = alternate(3, {"failing": failing, "other": lambda: {"seconds": 5.0}})
    assert taken["failing"].of("seconds") == (1.0,)
    assert "no machine" in taken["failing"].failure
    assert taken["other"] == Taken({"seconds": [5.0, 5.0, 5.0]})
