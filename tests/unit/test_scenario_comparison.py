"""What the hardware would use against what it should: each way to be wrong has its name."""

from __future__ import annotations

from typing import Any

import pytest

from harness.scenario import comparison
from harness.scenario.load import load_suite

SVA = load_suite("sva").spec.comparisons["tables"]
LOUD = {"silent_after_release": False}
SILENT = {"silent_after_release": True}


def _entry(pasid: int = 1, root: int | None = 0x20000, device: str = "d0", **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "entry", "device": device, "pasid": pasid, "present": True, "silent": False}
    return {**row, **({} if root is None else {"root": root}), **more}


def _wrong(told: str, *there: dict[str, Any], behaviours: dict[str, bool] | None = None) -> list[str]:
    """Names of what is wrong."""
    found = comparison.differences(SVA, comparison.rows_in(told), there, behaviours or LOUD)
    return [line.partition(":")[0] for line in found]


LIVE = "kind=entry device=d0 pasid=1 dead=false root=0x20000\n"
DEAD = "kind=entry device=d0 pasid=1 dead=true silent=true\n"


def test_rows_have_numbers_truths_and_texts() -> None:
    text = "a=0x10 b=7 c=true d=0000:00:04.0\n\na=0x10 b=7 c=true d=0000:00:04.0\ne=false\n"
    assert comparison.rows_in(text) == ({"a": 16, "b": 7, "c": True, "d": "0000:00:04.0"}, {"e": False})


def test_a_row_is_shown_with_its_key_first() -> None:
    assert comparison.show({"a": 0x20000, "pasid": 3, "ok": True}, ("pasid",)) == "pasid=3 a=0x20000 ok=true"


def test_nothing_is_wrong_with_what_is_as_told() -> None:
    other = "kind=entry device=d1 pasid=2 dead=false root=0x30000\n"
    assert _wrong(LIVE + LIVE + other, _entry(2, 0x30000, "d1"), _entry()) == []
    assert _wrong("") == []


@pytest.mark.parametrize(
    ("told", "there", "name"),
    [
        (LIVE, [], "missing entry for a live bond"),
        ("", [_entry()], "stale PASID entry"),
        ("", [_entry(root=None, present=False, silent=True)], "stale PASID entry"),
        (LIVE, [_entry(root=0x30000)], "wrong page-table root"),
        (LIVE, [_entry(root=None)], "wrong page-table root"),
        (LIVE, [_entry(2)], "wrong PASID"),
        (LIVE, [_entry(device="d1")], "wrong device"),
        (DEAD, [_entry()], "the page table of a dead process is in use"),
        (LIVE, [_entry(), {"kind": "cached-entry", "pasid": 1, "backed": False}], "stale cached entry"),
        (LIVE, [_entry(), {"kind": "translation", "domain": 4, "backed": False}], "stale cached translation"),
        (
            LIVE,
            [_entry(), {"kind": "device-translation", "pasid": 2, "backed": False}],
            "stale translation in the device",
        ),
        ("", [{"kind": "truncated"}], "tables with more entries than can be sensible"),
    ],
)
def test_what_is_wrong_has_its_name(told: str, there: list[dict[str, Any]], name: str) -> None:
    assert _wrong(told, *there) == [name]


@pytest.mark.parametrize("there", [[], [_entry(root=None, silent=False)]])
def test_faults_after_death_count_where_the_series_is_to_suppress_them(there: list[dict[str, Any]]) -> None:
    assert _wrong(DEAD, *there) == []
    assert _wrong(DEAD, *there, behaviours=SILENT) == ["faults are not suppressed after the process died"]


def test_a_dead_process_may_have_a_silent_entry_or_none() -> None:
    assert _wrong(DEAD, _entry(root=None, silent=True), behaviours=SILENT) == []


@pytest.mark.parametrize(
    "row",
    [
        _entry(0),
        {"kind": "entry", "device": "d0", "type": "pass-through", "present": True},
        {"kind": "translation", "pasid": 0, "backed": False},
        {"kind": "translation", "pasid": 1, "backed": True},
        {"kind": "translation", "pasid": 1},
    ],
)
def test_what_is_no_business_of_bonds_does_not_count(row: dict[str, Any]) -> None:
    assert _wrong("", row) == []


def test_each_row_is_told_once_and_the_right_one_stays_right() -> None:
    two = LIVE + "kind=entry device=d0 pasid=2 dead=false root=0x30000\n"
    assert _wrong(two, _entry(), _entry(5, 0x30000), _entry(6, 0x40000)) == ["wrong PASID", "stale PASID entry"]


def test_a_summary_has_each_name_once() -> None:
    lines = ["stale PASID entry: pasid=1", "wrong PASID: pasid=2, not pasid=3", "stale PASID entry: pasid=4"]
    assert comparison.summary(lines) == "stale PASID entry: pasid=1 and 1 more; wrong PASID: pasid=2, not pasid=3"
    assert comparison.summary(()) == ""
