"""A history of three nights that the tests of what leaves a night share."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Bisected, Cell, CellState, Night, Place, Result

COMMIT = "5d2a0f1b" * 5
PLAIN = Place("next", "", "x86_64-vtd", "base", "sva")
BAD = Place("next", "pasid-v3", "x86_64-vtd", "base", "sva")
BAD_ARM = Place("next", "pasid-v3", "arm64-smmuv3", "kasan", "sva")
GOOD = Place("next", "cleanup-v1", "x86_64-vtd", "base", "sva")
GOOD_ARM = Place("next", "cleanup-v1", "arm64-smmuv3", "base", "sva")
DEBIAN = Place("debian", "", "x86_64-vtd", "base", "sva")
SILENT = Place("debian", "", "arm64-smmuv3", "base", "kunit")
BROKEN = Place("next", "typo-v1", "x86_64-vtd", "base", "sva")
SPLAT = "kasan: KASAN: slab-use-after-free in iommu_sva_unbind_device"
HOSTILE = 'a <b>&"\x1b[31m red\x00\u202e'  # what a guest may print

Tried = tuple[str, str]  # base, tested


def history(folder: Path) -> tuple[History, Night]:
    """The history and its last night."""
    made = History(folder / "history.sqlite")
    made._db.execute("PRAGMA synchronous = OFF")  # a loaded disk takes a minute else
    for number in (1, 2, 3):
        night = made.begin("next", "v1")
        _fill(made, night, number, folder / "runs" / f"2026112{number}-020000-night-x{number}")
        made.end(night.id)
    _dates(folder / "history.sqlite")
    last = made.nights()[-1]
    return made, last


def _dates(file: Path) -> None:
    """Real nights are a day apart."""
    with sqlite3.connect(file) as data:
        for number in (1, 2, 3):
            day = f"2026-11-2{number}T"
            data.execute(
                "UPDATE night SET started = ?, ended = ? WHERE id = ?",
                (f"{day}02:00:00.123+00:00", f"{day}05:10:00.000+00:00", number),
            )
            data.execute("UPDATE cell SET started = ? WHERE night = ?", (f"{day}02:01:00.000+00:00", number))
    data.close()


def _fill(made: History, night: Night, number: int, run: Path) -> None:
    good = {"p01-own-bind": ("pass", "pass"), "motive-one": ("fail", "pass")}
    add(made, night, PLAIN, {"p01-own-bind": ("", "pass"), "g04-twice": ("", "fail")}, run / "plain", "fail")
    bad = {"p01-own-bind": ("pass", "crash" if number == 3 else "pass"), "race-exit": ("pass", "pass"),
           "g04-twice": ("fail", "fail" if number < 3 else "pass"), "p09-skip": ("skip", "skip")}  # fmt: skip
    cell = add(made, night, BAD, bad, run / "bad", "fail" if number == 3 else "pass", tries=number == 3)
    if number == 3:
        made.add_bisected(
            Bisected(0, cell.id, "p01-own-bind", "ab" * 20, "iommu: Free it early", "A <a@b.example>", True, "", "")
        )
    add(made, night, BAD_ARM, {**good, "g07-leak": ("pass", "fail")}, run / "arm", "pass", quarantined=True)
    for place in (GOOD, GOOD_ARM):
        if place is GOOD or number == 1:
            add(made, night, place, good, run / f"good-{place.target}", "pass")
        else:  # its inputs are those of the first night
            first = next(each for each in made.cells(1) if each.place == place)
            made.add(replace(first, id=0, night=night.id, state=CellState.UNCHANGED, same=first.id))
    state = CellState.DROPPED if number == 3 else CellState.DONE
    debian = add(made, night, DEBIAN, {"p01-own-bind": ("", "pass")}, run / "debian", "pass")
    if state is CellState.DROPPED:
        made.update(replace(debian, state=state, verdict="", reason="no time was left", folder=""), [])
    silent = blank(night, SILENT, run / "silent", "debian:7.3")
    made.add(replace(silent, state=CellState.FAILED, reason="no space left in /cache", folder=""))
    build = run / "typo" / "build-patched.log"
    build.parent.mkdir(parents=True)
    build.write_text("drivers/iommu/iommu.c:7: error: expected ';'\n")
    broken = made.add(replace(blank(night, BROKEN, run / "typo"), verdict="fail", reason="patched: does not build"))
    made.update(broken, [
        Result(broken.id, name, "pass", "fail", "regressed", "does not build", evidence=str(build))
        for name in ("p01-own-bind", "g04-twice")
    ])  # fmt: skip


def blank(night: Night, place: Place, folder: Path, spec: str = "https://git.example.org/linux.git") -> Cell:
    """A cell without results."""
    return Cell(0, night.id, place, spec, COMMIT, "7.3.4", f"k{night.id}{place}", CellState.DONE, folder=str(folder),
                seconds=61.5, accelerator="tcg (no /dev/kvm)", started=night.started)  # fmt: skip


def add(
    made: History,
    night: Night,
    place: Place,
    results: Mapping[str, Tried],
    folder: Path,
    verdict: str,
    *,
    tries: bool = False,
    quarantined: bool = False,
) -> Cell:
    """A cell with results, and what its run left."""
    spec = "debian:7.3" if place.tree == "debian" else "https://git.example.org/linux.git"
    reason = "1 scenario regressed: p01-own-bind" if verdict == "fail" else ""
    cell = made.add(replace(blank(night, place, folder, spec), verdict=verdict, reason=reason))
    found = []
    for name, (base, status) in results.items():
        evidence = folder / "patched" / name
        evidence.mkdir(parents=True)
        crash = status == "crash"
        if status in ("crash", "fail"):
            (evidence / "console.log").write_text("boot\r\n" * 5 + HOSTILE + "\r\nKASAN: slab-use-after-free\r\n")
        found.append(
            Result(
                cell.id,
                name,
                base,
                status,
                "regressed" if crash else "unchanged",
                f"kernel panic: {HOSTILE}" if crash else {"skip": "no such device", "fail": "ret is 0"}.get(status, ""),
                1.5,
                (SPLAT,) if crash else (),
                str(evidence),
                ("pass", "fail", "pass") if name == "race-exit" and tries else (),
                "under review until 2026-12-24" if quarantined and status == "fail" else "",
            )
        )
    made.update(cell, found)
    _report(folder, place)
    return cell


def _report(folder: Path, place: Place) -> None:
    patches = [{"number": 1, "subject": f"iommu: Do {place.series}", "author": "A <a@b.example>", "files": ["f"],
                "origin": f"{place.series}.mbox, mail 1"}]  # fmt: skip
    series = {"specs": [f"b4:{place.series}@mail.example"], "title": f"Cover of {place.series}", "patches": patches}
    (folder / "report.json").write_text(json.dumps({"series": series if place.series else None}))
