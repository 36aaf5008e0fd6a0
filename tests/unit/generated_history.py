"""Makes a history of nights in which all happens that a night can come to. The same arguments make the same one."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from harness.campaign.nightly import history as module
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Bisected, Cell, CellState, Night, NightState, Place, Result

FIRST = datetime.datetime(2026, 5, 1, 22, 30, tzinfo=datetime.UTC)
ODD = "own/tests: <b>\x1b[31mred & 'so'"  # a scenario's name that must be escaped everywhere
TITLE = "warn: WARNING in iommu_sva_unbind_device"
SPLAT = f"{TITLE} \x1b[2J<script>alert(1)</script>"
CULPRIT = "5eed" * 10


@dataclass(frozen=True)
class Shape:
    """How large, and with what beside the history."""

    nights: int = 18
    places: int = 4
    scenarios: int = 9
    running: bool = False  # the last night is under way
    evidence: Path | None = None  # folder that consoles and reports are written to
    name: str = "main"


def make(file: Path, shape: Shape = Shape()) -> None:
    """A history of this shape as ``file``."""
    with History(file) as history:
        history._db.execute("PRAGMA synchronous = OFF")  # it can be made again
        last: dict[Place, Cell] = {}
        for number in range(shape.nights):
            _night(history, shape, number, last)


def place(number: int) -> Place:
    """The places, told apart in one thing or several."""
    series = ("", "pasid v2")[number % 2]
    flavour = ("base", "kasan", "lockdep")[number // 4 % 3]
    tree = ("stable", "next")[number // 2 % 2] + (f"-{number // 24}" if number >= 24 else "")
    return Place(tree, series, ("x86_64-vtd", "arm64-smmuv3")[number // 12 % 2], flavour, "sva")


def _night(history: History, shape: Shape, number: int, last: dict[Place, Cell]) -> None:
    began = FIRST + datetime.timedelta(days=number)
    newest = number == shape.nights - 1
    cut = number % 20 == 11 and not newest
    with mock.patch.object(module, "now", lambda: began.isoformat(timespec="milliseconds")):
        night = history.begin(shape.name, f"harness-{number // 50}")
    for at in range(shape.places):
        cell = history.add(_cell(shape, night, number, at, last.get(place(at)), cut))
        if cell.state is CellState.DONE:
            results = _results(shape, cell, number, at)
            bad = any(each.status in ("fail", "crash") and not each.quarantined for each in results)
            cell = dataclasses.replace(cell, verdict="fail" if bad else "pass")
            history.update(cell, results)
            last[place(at)] = cell
            _report(shape, cell, results)
            if at == 0 and number == _turn(shape):
                history.add_bisected(_bisected(shape, cell))
    if newest and shape.running:
        return
    ended = began + datetime.timedelta(hours=2)
    with mock.patch.object(module, "now", lambda: ended.isoformat(timespec="milliseconds")):
        history.end(night.id, NightState.CUT if cut else NightState.DONE)


def _turn(shape: Shape) -> int:
    return shape.nights * 2 // 3


def _cell(shape: Shape, night: Night, number: int, at: int, last: Cell | None, cut: bool) -> Cell:
    state, reason = CellState.DONE, ""
    newest = number == shape.nights - 1
    if (number + 3 * at) % 9 == 4 and last and not (newest and at == 0):
        state = CellState.UNCHANGED
    elif ((number + 2 * at) % 13 == 5 and not (newest and at == 0)) or (newest and at == shape.places - 1):
        state, reason = CellState.DROPPED, "no time was left: 40 min are needed"
    elif ((number + at) % 17 == 6 and not (newest and at == 0)) or (newest and at == shape.places - 2):
        state, reason = CellState.FAILED, "the host failed: no space left on device \x1b]0;title\x07"
    if (cut and at > shape.places // 2) or (shape.running and newest and at > 0):
        state, reason = (CellState.RUNNING if at == 1 else CellState.PLANNED), ""
    commit = _digest(f"commit {number} {at}")
    same = state is CellState.UNCHANGED and last is not None
    return Cell(
        0, night.id, place(at), "~/linux", last.commit if same and last else commit,
        f"7.{3 + number // 60}.{number % 60}",
        last.key if same and last else f"key-{number}-{at}", state, last.verdict if same and last else "", reason,
        0.0 if state in (CellState.DROPPED, CellState.PLANNED) else 300.0 + 10 * at + number % 7,
        str(_folder(shape, number, at) or ""), last.id if same and last else 0, "tcg", night.started, "~/linux/.git",
    )  # fmt: skip


def _results(shape: Shape, cell: Cell, number: int, at: int) -> list[Result]:
    return [_result(shape, cell, number, at, which) for which in range(shape.scenarios)]


def name(which: int) -> str:
    """Of the scenarios; the first ones do what their names say."""
    known = ("steady", "flaky", "regressed", "fixed", "quarantined", "crashes", "skipped", ODD)
    return known[which] if which < len(known) else f"global-bind-and-unbind-{which:03}"


def _result(shape: Shape, cell: Cell, number: int, at: int, which: int) -> Result:
    newest = number == shape.nights - 1
    status, reason, quarantined = "pass", "", ""
    splats: tuple[str, ...] = ()
    tries: tuple[str, ...] = ()
    if which == 1 and number * 7 % 10 < 3:
        status, reason, tries = "fail", "expected 0, got -EBUSY", ("fail", "pass", "fail")
    elif which == 2 and at == 0 and number >= _turn(shape):
        status, reason, splats = "fail", "expected 0, got -EINVAL", (SPLAT if at else TITLE,)
    elif which == 3 and not newest and number >= shape.nights - 3:
        status, reason = "hang", "step 3 did not answer in 30 s"
    elif which == 4:
        status, reason, quarantined = "fail", "expected 1 fault, got 2", "fails in one run of three; until 2026-12-31"
    elif which == 5 and newest:
        status, reason, splats = "crash", "the guest panicked", (SPLAT if at else TITLE,)
    elif which == 6:
        status, reason = "skip", "the kernel has no CONFIG_FOO"
    elif which == 7:
        reason = "‮reversed\x00\x1b[0m <img src=x>"
    base = ("pass" if which != 6 else "skip") if cell.place.series else ""
    change = "regressed" if base == "pass" and status != "pass" else "unchanged" if base else "base only"
    seconds = 0.4 + (which * 37 % 100) / 20 + (number * 13 % 10) / 40
    evidence = _console(shape, number, at, which) if status in ("fail", "crash", "hang") else ""
    return Result(cell.id, name(which), base, status, change, reason, seconds, splats, evidence, tries, quarantined)


def _bisected(shape: Shape, cell: Cell) -> Bisected:
    folder = ""
    if shape.evidence:
        there = shape.evidence / "bisection"
        there.mkdir(parents=True, exist_ok=True)
        page = "<!doctype html>\n<html lang='en'><title>bisection</title><h1>Bisection</h1></html>\n"
        (there / "report.html").write_text(page)
        folder = str(there)
    return Bisected(
        0, cell.id, "regressed", CULPRIT, "iommu/sva: Do not take the lock <twice>", "A Dev <a@example.org>", True,
        "first bad commit found in 7 kernels", folder,
    )  # fmt: skip


# --- evidence ------------------------------------------------------------------------
def _folder(shape: Shape, number: int, at: int) -> Path | None:
    return shape.evidence / f"{number}-{at}" if shape.evidence else None


CONSOLE = """\
[    0.000000] Linux version 7.3.4 (kph)
[    1.100000] \x1b[31mpci 0000:00:04.0: enabling device\x1b[0m <b>
[    2.000000] ------------[ cut here ]------------
[    2.000001] WARNING: CPU: 0 PID: 71 at drivers/iommu/iommu-sva.c:171 iommu_sva_unbind_device+0x1a/0x90
[    2.000002] Modules linked in: kph_sva(O)
[    2.000003] CPU: 0 UID: 0 PID: 71 Comm: kph-agent Tainted: G           O        7.3.4 #1
[    2.000004] RIP: 0010:iommu_sva_unbind_device+0x1a/0x90
[    2.000005] Call Trace:
[    2.000006]  <TASK>
[    2.000007]  kph_release+0x20/0x40 [kph_sva]
[    2.000008]  __fput+0xe0/0x2a0
[    2.000009]  </TASK>
[    2.000010] ---[ end trace 0000000000000000 ]---
[    2.500000] kph: done
"""


def _console(shape: Shape, number: int, at: int, which: int) -> str:
    folder = _folder(shape, number, at)
    if folder is None:
        return ""
    there = folder / "tested" / f"s{which}"
    there.mkdir(parents=True, exist_ok=True)
    (there / "console.log").write_text(CONSOLE)
    return str(there)


def _report(shape: Shape, cell: Cell, results: list[Result]) -> None:
    """The parts of a report that the site reads."""
    if shape.evidence is None:
        return
    folder = Path(cell.folder)
    folder.mkdir(parents=True, exist_ok=True)
    phases = (("fetch", "", 0.0, 4.0), ("build", "base", 4.0, 140.5), ("build", "patched", 90.0, 96.0),
              ("boot", "patched", 186.0, 6.5), ("scenarios", "patched", 192.5, 110.0))  # fmt: skip
    step = {
        "index": "3.1",
        "text": "bind \x1b[1mfirst",
        "ok": False,
        "expected": "ret 0",
        "got": "ret -EBUSY",
        "seconds": 0,
    }
    document = {
        "reasons": [f"{sum(each.status != 'pass' for each in results)} scenarios did not pass"],
        "series": {"title": "iommu: Use your own PASID space"} if cell.place.series else None,
        "timings": [
            {"name": word, "side": side, "started": began, "seconds": took, "target": cell.place.target, "note": ""}
            for word, side, began, took in phases
        ],
        "scenarios": [
            {
                "id": each.scenario,
                "summary": "a bind and what may go wrong with it",
                "target": cell.place.target,
                "flavour": cell.place.flavour,
                "base": None,
                "patched": {"steps": [step] if each.status == "fail" else []},
            }
            for each in results
        ],
    }
    (folder / "report.json").write_text(json.dumps(document))


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
