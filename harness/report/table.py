"""The table of the report for people: a line for each scenario, its results on each target and flavour side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.model import Cell, Change, Outcome, Row, RunResult, Status
from harness.report import View, clean, words
from harness.report.page import Page

_WIDE = 110  # columns from which the reasons have a column of their own
_NAME = 36  # columns for the change and the name of a scenario, at least
_STATUS = 6  # columns of the longest status and a space
STYLES = {
    Change.REGRESSED: "bold red",
    Change.NEW_FAILURE: "bold red",
    Change.UNKNOWN: "bold magenta",
    Change.FIXED: "bold green",
    Change.NEW_PASS: "green",
    Change.UNCHANGED: "dim",
    Change.BASE_ONLY: "",
    Change.PATCHED_ONLY: "dim",
}
_STATUS_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.CRASH: "bold red",
    Status.HANG: "bold red",
    Status.SKIP: "yellow",
    Status.ERROR: "magenta",
}


@dataclass(frozen=True)
class _Line:
    """One scenario."""

    scenario: str
    rows: tuple[Row | None, ...]  # for each cell in order; None: it has no such scenario

    @property
    def worst(self) -> Row:
        return words.ordered(row for row in self.rows if row is not None)[0]

    @property
    def quiet(self) -> bool:
        """Nobody needs to look at it on any target."""
        return all(row is None or words.is_quiet(row) for row in self.rows)


@dataclass(frozen=True)
class _Form:
    """How the table looks."""

    places: tuple[str, ...]  # the cells by name
    both: bool  # base and patched
    wide: bool  # reasons have a column

    def heads(self) -> tuple[str, ...]:
        change = ("CHANGE",) if self.both else ()
        sides: tuple[str, ...] = ("BASE", "PATCHED") if self.both else ("RESULT",)
        if len(self.places) > 1:
            sides = tuple(f"{clean.line(name)}\n{_pair(sides)}" for name in self.places)
        return (*change, "SCENARIO", *sides)


def draw(page: Page, result: RunResult, view: View) -> None:
    """The table and an empty line. What nobody needs to look at is counted, not listed, unless ``view`` says so.

    Each target and flavour is a column, or where they do not fit, a table.
    """
    if _NAME + sum(_column(cell) for cell in result.cells) > page.width and words.several(result):
        for cell in result.cells:
            page.line(f"{cell.place}:", "bold")
            _draw(page, dataclasses.replace(result, cells=(cell,)), view)
    else:
        _draw(page, result, view)


def _column(cell: Cell) -> int:
    return max(len(cell.place), 2 * _STATUS) + 2


def _draw(page: Page, result: RunResult, view: View) -> None:
    form = _Form(tuple(cell.place for cell in result.cells), result.series is not None, page.width >= _WIDE)
    table = Table(box=box.SIMPLE_HEAD if view.colour else None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for head in form.heads():
        table.add_column(head, overflow="fold", no_wrap=head != "SCENARIO")
    if form.wide:
        table.add_column("WHY", overflow="fold")
    quiet, said = [], ""
    for line in _lines(result):
        if line.quiet and not view.verbose:
            quiet.append(line)
            continue
        reason = _reason(line, form)
        _add(table, line, "as above" if reason and reason == said else reason, form)
        said = reason
    for group in _grouped(quiet):
        _add_group(table, group, form)
    page.table(table)
    page.line()


def _lines(result: RunResult) -> tuple[_Line, ...]:
    """Worst first, by the cell in which it is worst; equal ones keep their order."""
    rows = [{row.scenario: row for row in cell.rows} for cell in result.cells]
    names = dict.fromkeys(row.scenario for row in result.rows)
    lines = (_Line(name, tuple(each.get(name) for each in rows)) for name in names)
    return tuple(sorted(lines, key=lambda line: words.rank(line.worst)))


def _reason(line: _Line, form: _Form) -> str:
    if len(form.places) == 1:
        return clean.line(words.why(line.worst))
    told: dict[str, list[str]] = {}
    for target, row in zip(form.places, line.rows, strict=True):
        reason = words.why(row) if row is not None and not words.is_quiet(row) else ""
        if reason:
            told.setdefault(clean.line(reason), []).append(clean.line(target))
    return "; ".join(f"{', '.join(targets)}: {reason}" for reason, targets in told.items())


def _add(table: Table, line: _Line, reason: str, form: _Form) -> None:
    name: RenderableType = Text(clean.line(line.scenario))
    if not form.wide and reason:
        name = Group(name, Padding(Text(reason), (0, 0, 0, 2)))
    change = line.worst.change
    _cells(table, Text(change.value, STYLES[change]), name, line.rows, reason, form)


def _cells(
    table: Table, change: Text, name: RenderableType, rows: Sequence[Row | None], reason: str, form: _Form
) -> None:
    cells: list[RenderableType] = [change, name] if form.both else [name]
    for row in rows:
        outcomes = (row.base, row.patched) if row else (None, None)
        sides = [_status(outcome) for outcome in outcomes[: 1 + form.both]]
        cells += [_joined(sides)] if len(form.places) > 1 else sides
    table.add_row(*cells, *([Text(reason)] if form.wide else []))


def _joined(sides: Sequence[Text]) -> Text:
    for side in sides[:-1]:
        side.pad_right(_STATUS - len(side))
    return Text.assemble(*sides)


def _pair(sides: Sequence[str]) -> str:
    return "".join(side.ljust(_STATUS) for side in sides).rstrip()


def _status(outcome: Outcome | None) -> Text:
    return Text("-") if outcome is None else Text(outcome.status.value, _STATUS_STYLES[outcome.status])


def _grouped(lines: Iterable[_Line]) -> tuple[tuple[_Line, ...], ...]:
    """Those that ended alike on every target."""
    groups: dict[object, list[_Line]] = {}
    for line in lines:
        ends = tuple(row and (outcome := words.tested(row)) and outcome.status for row in line.rows)
        groups.setdefault((line.worst.change, ends), []).append(line)
    return tuple(map(tuple, groups.values()))


def _add_group(table: Table, lines: Sequence[_Line], form: _Form) -> None:
    number = f"{len(lines)} scenario{'' if len(lines) == 1 else 's'} (-v lists them)"
    _cells(table, Text(lines[0].worst.change.value, "dim"), Text(number, "dim"), lines[0].rows, "", form)
