"""200 nights with 100,000 results: how long the site takes, how large its first page is, how fast that opens."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.report.site import build
from tests.unit import generated_history as generated
from tests.unit.chromium import MISSING, PROGRAM, browser

pytestmark = pytest.mark.skipif(not os.environ.get("KPH_ALL"), reason="half a minute; KPH_ALL=1 runs it")


def test_two_hundred_nights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generated.make(tmp_path / "history.sqlite", generated.Shape(nights=200, places=12, scenarios=56))
    with History(tmp_path / "history.sqlite", read_only=True) as history:
        ((results,),) = history._rows("SELECT count(*) FROM result")
        assert results >= 100_000
        # Of one thread, on a host that may be loaded: the time that it would take on an idle one.
        began, cpu = time.monotonic(), time.process_time()
        built = build(history, tmp_path / "out")
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
        again = time.process_time()
        assert build(history, tmp_path / "out").written == 0
        again = time.process_time() - again
    size = sum((tmp_path / "out" / name).stat().st_size for name in ("index.html", "style.css"))
    with capsys.disabled():
        print(f"\n{results} results, {built.pages} pages: {cpu:.1f} s of CPU, {wall:.1f} s by the clock;", end=" ")
        print(f"again: {again:.1f} s of CPU; first page {size} bytes", end="")
    assert cpu < 20
    assert again < cpu / 2
    assert size < 300_000


def test_it_opens_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if PROGRAM is None:
        pytest.skip(MISSING)
    generated.make(tmp_path / "history.sqlite", generated.Shape(nights=61, places=36, scenarios=8))
    with History(tmp_path / "history.sqlite", read_only=True) as history:
        build(history, tmp_path / "out")
    with browser() as opened:
        took = [opened.open((tmp_path / "out" / "index.html").as_uri()) for _ in range(5)]
    with capsys.disabled():
        print(f"\nopens in {', '.join(f'{each:.2f}' for each in took)} s", end="")
    assert sorted(took)[2] < 1
