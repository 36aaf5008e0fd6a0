"""What ``kph nightly`` prints at the end."""

from __future__ import annotations

from pathlib import Path

from harness.campaign.nightly.night import Ended
from harness.cli.nightly import _told
from harness.report.nightly import facts
from tests.unit import nights


def test_what_makes_the_status_one_is_printed_also_where_the_mail_calls_it_flaky(tmp_path: Path) -> None:
    history, night = nights.history(tmp_path)
    with history:
        found = facts.of(history, night)
    (flaky,), (new,) = found.flaky, found.new
    both = tuple((line.cell, line.result) for line in (flaky, new))
    text = _told(Ended(night, found.cells, both, ()), found, ["a report was not delivered"])
    assert f"NEW: {flaky.cell.place}: {flaky.result.scenario}: {flaky.result.status}\n" in text
    assert f"\n    {new.result.scenario}: " in text and f": {new.result.scenario}: " not in text, (
        "told once, by the mail"
    )
    assert "NOTE: a report was not delivered" in text and "nothing fails" not in text
    assert "nothing fails that did not fail before" in _told(Ended(night, found.cells, (), ()), found, ())
