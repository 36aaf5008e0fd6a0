"""What ``kph history`` shows: tables, and rows for programs."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Cell, CellState, Night, Result
from harness.report import View, clean
from harness.report.nightly import facts
from harness.report.nightly.facts import Line
from harness.report.page import Page

COLUMNS = (
    "night", "name", "started", "state", "tree", "series", "target", "flavour", "suite", "version", "commit", "cell",
    "cell_state", "verdict", "same", "scenario", "base", "status", "change", "seconds", "splats", "tries",
    "quarantined", "reason", "evidence",
)  # fmt: skip
"""Of a row: the night, the cell, the result; docs/nightly-outputs.md says what each means."""

_STYLE = {"pass": "green", "skip": "dim", "error": "magenta", **dict.fromkeys(BAD, "red")}


def view() -> View:
    """How standard output is looked at."""
    colour = sys.stdout.isatty()
    return View(shutil.get_terminal_size((80, 24)).columns if colour else 120, colour)


# --- for people -----------------------------------------------------------------
def nights(history: History, name: str, seen: View) -> str:
    """A line for each night."""
    rows = []
    for night in history.nights(name):
        cells = history.cells(night.id)
        came_to = {word: sum(_came_to(cell) == word for cell in cells) for word in ("pass", "fail", "error")}
        rest = len(cells) - sum(came_to.values())
        rows.append((night.id, night.name, _when(night.started), night.state, len(cells), *came_to.values(), rest))
    head = ("night", "name", "started", "state", ">cells", ">pass", ">fail", ">error", ">other")
    return _page(seen, [("", head, rows)], "no nights yet")


def night(history: History, one: Night, seen: View) -> str:
    """A night: its cells, and what needs a look."""
    found = facts.of(history, one)
    page = Page(seen)
    page.line(f"Night {one.id} of {one.name}, {_when(one.started)} UTC, {one.state}: {len(found.cells)} cells")
    page.line()
    rows = [(_came_to(cell), str(cell.place), f"{cell.version} {cell.commit[:12]}", _why(cell)) for cell in found.cells]
    page.table(_table(("verdict", "place", "kernel", "why"), rows))
    for title, lines in (
        ("new failures", found.new),
        ("flaky", found.flaky),
        ("fixed", found.fixed),
        ("failing", found.failing),
        ("quarantined", found.quarantined),
    ):
        if lines:
            page.line()
            page.line(f"{title} ({len(lines)})", "bold")
            page.table(_table(_JUDGED, map(_judged, lines)))
    return page.text()


def judged(history: History, one: Night, kinds: Sequence[str], patterns: tuple[str, str], seen: View) -> str:
    """Scenarios of a night that fail, are flaky, or are new."""
    found = facts.of(history, one)
    lists = {"failing": (*found.new, *found.failing), "flaky": found.flaky, "new": found.new}
    lines = {(line.cell.id, line.result.scenario): line for kind in kinds for line in lists[kind]}
    rows = [_judged(line) for line in lines.values() if _fits(line.cell, line.result, patterns)]
    return _page(seen, [("", _JUDGED, rows)], f"nothing in night {one.id}")


def timeline(history: History, name: str, patterns: tuple[str, str], seen: View) -> str:
    """Scenarios over the nights, place after place."""
    tables: list[_Told] = []
    for scenario in fnmatch.filter(history.scenarios(), patterns[0]):
        for place in history.places():
            if not fnmatch.fnmatch(str(place), patterns[1]):
                continue
            rows = [
                (night.id, _when(night.started), f"{cell.version} {cell.commit[:12]}", result.base, result.status,
                 "unchanged" if cell.same else " ".join(result.tries), result.reason or ", ".join(result.splats))
                for night, cell, result in history.timeline(place, scenario) if name in ("", night.name)
            ]  # fmt: skip
            tables.append((f"{scenario}: {place}", _TIMELINE, rows))
    return _page(seen, tables, "no such scenario has a result")


_Told = tuple[str, Sequence[str], Sequence[Sequence[object]]]  # title, head, rows
_TIMELINE = ("night", "started", "kernel", "base", "status", "tries", "why")
_JUDGED = ("scenario", "place", "status", "since", ">rate", "why")


def _judged(line: Line) -> tuple[object, ...]:
    why = line.result.quarantined or line.result.reason or ", ".join(line.result.splats)
    return (line.result.scenario, str(line.cell.place), line.result.status, line.since[:10], f"{line.rate:.0%}", why)


def _why(cell: Cell) -> str:
    over = cell.state in (CellState.DONE, CellState.UNCHANGED)
    return cell.reason or ("unchanged" if cell.same else "" if over else str(cell.state))


def _came_to(cell: Cell) -> str:
    over = cell.state in (CellState.DONE, CellState.UNCHANGED)
    return (cell.verdict if over else "") or str(cell.state)


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _page(seen: View, tables: Iterable[_Told], nothing: str) -> str:
    page = Page(seen)
    shown = [each for each in tables if each[2]]
    for number, (title, head, rows) in enumerate(shown):
        if number:
            page.line()
        if title:
            page.line(title, "bold")
        page.table(_table(head, rows))
    if not shown:
        page.line(nothing)
    return page.text()


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """``>name`` is a column of numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in head:
        table.add_column(name.lstrip(">"), justify="right" if name[0] == ">" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean.line(str(each)), _STYLE.get(str(each), "")) for each in row))
    return table


# --- for programs ------------------------------------------------------------------
def rows(history: History, name: str, scenario: str, place: str) -> Iterator[tuple[object, ...]]:
    """A row for each result of each night, in COLUMNS; a cell without results has one, without a scenario."""
    for night in history.nights(name):
        for cell in history.cells(night.id):
            results = [each for each in history.results(cell) if _fits(cell, each, (scenario, place))]
            for result in results:
                yield _row(night, cell, result)
            if not results and scenario == "*" and fnmatch.fnmatch(str(cell.place), place):
                yield _row(night, cell, Result(cell.id, "", "", "", ""))


def _row(night: Night, cell: Cell, result: Result) -> tuple[object, ...]:
    place = cell.place
    where = (place.tree, place.series, place.target, place.flavour, place.suite)
    own = (cell.version, cell.commit, cell.id, str(cell.state), cell.verdict, cell.same)
    said = (result.scenario, result.base, result.status, result.change, result.seconds, list(result.splats))
    more = (list(result.tries), result.quarantined, result.reason, result.evidence)
    return (night.id, night.name, night.started, str(night.state), *where, *own, *said, *more)


def _fits(cell: Cell, result: Result, patterns: tuple[str, str]) -> bool:
    scenario, place = patterns
    return fnmatch.fnmatch(result.scenario, scenario) and fnmatch.fnmatch(str(cell.place), place)


def json_text(found: Iterable[Sequence[object]]) -> str:
    """An array of objects, one a line."""
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in found]
    return "[\n" + ",\n".join(lines) + ("\n]\n" if lines else "]\n")


def csv_text(found: Iterable[Sequence[object]]) -> str:
    """RFC 4180 with a line of names; lists have their items between "; "."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(COLUMNS)
    for row in found:
        writer.writerow(clean.line("; ".join(each) if isinstance(each, list) else str(each)) for each in row)
    return sink.getvalue()
