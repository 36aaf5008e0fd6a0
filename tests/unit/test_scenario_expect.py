from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.scenario.expect import Expected, came, met, refused

OK = {"id": 1, "ret": 0, "bond": 1, "pasid": 5}
BUSY = {"id": 1, "ret": -16, "errno": "EBUSY"}
KILLED = {"id": 1, "ret": -3, "errno": "ESRCH", "died": True, "signal": "SIGSEGV"}
LEFT = {"id": 1, "ret": -3, "errno": "ESRCH", "died": True, "exit": 0}


@pytest.mark.parametrize(
    ("expected", "good", "bad"),
    [
        (Expected({}), [OK], [BUSY, KILLED, LEFT, {}]),
        (Expected({"pasid": {"ge": 1}}), [OK], [{"ret": 0}, {"ret": 0, "pasid": 0}, BUSY]),
        (Expected({}, fails=("EBUSY",)), [BUSY], [OK, KILLED, {"ret": -28, "errno": "ENOSPC"}]),
        (Expected({}, fails=("ENOSPC", "EBUSY")), [BUSY], [OK]),
        (Expected({}, fails=("any",)), [BUSY], [OK, KILLED]),
        (Expected({}, fails=("ESRCH",)), [], [KILLED]),
        (Expected({}, may_fail=("EBUSY",)), [BUSY, OK], [{"ret": -28, "errno": "ENOSPC"}, KILLED]),
        (Expected({}, may_fail=("any",)), [BUSY, OK], [KILLED]),
        (Expected({}, died="SIGSEGV"), [KILLED], [OK, BUSY, LEFT]),
        (Expected({}, died="exit:0"), [LEFT], [KILLED]),
        (Expected({}, died="any"), [LEFT, KILLED], [OK]),
    ],
)
def test_met(expected: Expected, good: list[Mapping[str, Any]], bad: list[Mapping[str, Any]]) -> None:
    assert [each for each in good if not met(expected, each)] == []
    assert [each for each in bad if met(expected, each)] == []


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (Expected({"pasid": 5}), "success, pasid = 5"),
        (Expected({}, fails=("EBUSY", "ENOSPC")), "EBUSY or ENOSPC"),
        (Expected({}, fails=("any",)), "an error"),
        (Expected({}, may_fail=("EBUSY",)), "success or EBUSY"),
        (Expected({}, died="SIGSEGV"), "the actor's end by SIGSEGV"),
    ],
)
def test_expected_in_words(expected: Expected, words: str) -> None:
    assert str(expected) == words


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (OK, "success, bond = 1, pasid = 5"),
        (BUSY, "EBUSY"),
        ({"ret": -71, "errno": "EPROTO", "error": "no such argument"}, "EPROTO (no such argument)"),
        (KILLED, "the actor ended by SIGSEGV"),
        (LEFT, "the actor ended by exit:0"),
    ],
)
def test_came_in_words(reply: Mapping[str, Any], words: str) -> None:
    assert came(reply) == words


def test_a_long_reply_is_cut() -> None:
    assert len(came({"ret": 0, "text": "x" * 5000})) < 500


def test_only_a_protocol_error_is_the_harness_own_fault() -> None:
    assert refused({"ret": -71, "errno": "EPROTO", "error": "what?"}) == "what?"
    assert refused(BUSY) is None
