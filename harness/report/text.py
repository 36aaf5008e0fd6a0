"""The report for people: aligned plain text, or colours on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.model import Change, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.report import View, clean, words
from harness.report.page import Page
from harness.verdict import splatset

NAME = "text"
HELP = "a table and the details of what went wrong, for people"

_WIDE = 110  # columns from which the reasons have a column of their own
_STEPS = 5  # failing steps shown of one scenario
_FAULTS = 5  # DMA faults shown of one scenario
_STYLES = {
    Change.REGRESSED: "bold red",
    Change.NEW_FAILURE: "bold red",
    Change.UNKNOWN: "bold magenta",
    Change.FIXED: "bold green",
    Change.NEW_PASS: "green",
    Change.UNCHANGED: "dim",
    Change.BASE_ONLY: "",
}
_STATUS_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.CRASH: "bold red",
    Status.HANG: "bold red",
    Status.SKIP: "yellow",
    Status.ERROR: "magenta",
}
_VERDICT_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.ERROR: "bold magenta"}


def render(result: RunResult, view: View) -> str:
    """See Format.render."""
    page = Page(view)
    _head(page, result)
    _table(page, result, view)
    _skips(page, result)
    for group in words.alike(row for row in words.ordered(result.rows) if words.needs_detail(row)):
        _detail(page, group)
    _outside(page, result)
    _times(page, result)
    _reasons(page, result)
    page.paragraph(f"Verdict: {words.conclusion(result)}", _VERDICT_STYLES[result.verdict])
    return page.text()


def _head(page: Page, result: RunResult) -> None:
    flavour = "" if result.flavour == "base" else f", flavour {result.flavour}"
    page.paragraph(f"{result.suite} on {result.target}{flavour}, over {result.channel}", "bold")
    page.field("tree", f"{result.tree.spec}, Linux {result.tree.version}, commit {result.tree.commit[:12]}")
    if result.series is not None:
        number = len(result.series.patches)
        page.field("series", f"{result.series.title} ({number} patch{'' if number == 1 else 'es'})")
    page.field("machine", result.accelerator)
    page.path("evidence", str(result.run))
    page.line()


# --- table --------------------------------------------------------------------
def _table(page: Page, result: RunResult, view: View) -> None:
    wide = page.width >= _WIDE
    both = result.series is not None
    table = Table(box=box.SIMPLE_HEAD if view.colour else None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    heads = ("CHANGE", "SCENARIO", "BASE", "PATCHED") if both else ("SCENARIO", "RESULT")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head != "SCENARIO")
    if wide:
        table.add_column("WHY", overflow="fold")
    quiet, said = [], ""
    for row in words.ordered(result.rows):
        if words.is_quiet(row) and not view.verbose:
            quiet.append(row)
            continue
        reason = clean.line(words.why(row))
        _add(
            table, row, clean.line(_label(row, result)), "as above" if reason and reason == said else reason, both, wide
        )
        said = reason
    for name, group in _grouped(quiet):
        _add_group(table, name, group, both, wide)
    page.table(table)
    page.line()


def _label(row: Row, result: RunResult) -> str:
    elsewhere = [part for part, own in ((row.target, result.target), (row.flavour, result.flavour)) if part != own]
    return f"{row.scenario} ({', '.join(elsewhere)})" if elsewhere else row.scenario


def _add(table: Table, row: Row, label: str, reason: str, both: bool, wide: bool) -> None:
    name: RenderableType = Text(label)
    if not wide and reason:
        name = Group(name, Padding(Text(reason), (0, 0, 0, 2)))
    cells = [name, _status(row.base), _status(row.patched)] if both else [name, _status(row.base)]
    if both:
        cells.insert(0, Text(row.change.value, _STYLES[row.change]))
    table.add_row(*cells, *([Text(reason)] if wide else []))


def _status(outcome: Outcome | None) -> Text:
    return Text("-") if outcome is None else Text(outcome.status.value, _STATUS_STYLES[outcome.status])


def _grouped(rows: Iterable[Row]) -> tuple[tuple[Status, tuple[Row, ...]], ...]:
    groups: dict[Status, list[Row]] = {}
    for row in rows:
        outcome = words.tested(row)
        if outcome is not None:
            groups.setdefault(outcome.status, []).append(row)
    return tuple((status, tuple(group)) for status, group in groups.items())


def _add_group(table: Table, status: Status, rows: tuple[Row, ...], both: bool, wide: bool) -> None:
    number = f"{len(rows)} scenario{'' if len(rows) == 1 else 's'} (-v lists them)"
    result = Text(status.value, _STATUS_STYLES[status])
    cells = [Text(number, "dim"), result]
    if both:
        cells = [Text(Change.UNCHANGED.value, "dim"), Text(number, "dim"), result, result]
    table.add_row(*cells, *([Text("")] if wide else []))


# --- below the table --------------------------------------------------------------
def _skips(page: Page, result: RunResult) -> None:
    total = len(result.rows)
    for side, outcomes in (
        ("base", [row.base for row in result.rows]),
        ("patched", [row.patched for row in result.rows]),
    ):
        groups = words.skips(outcomes)
        if not groups:
            continue
        number = sum(len(group.scenarios) for group in groups)
        page.line(f"SKIPPED on {side}: {number} of {total}", "bold yellow")
        for group in groups:
            page.count(len(group.scenarios), f"{group.reason}\n{', '.join(group.scenarios)}")
        page.line()


def _detail(page: Page, group: tuple[Row, ...]) -> None:
    row, *others = group
    name = f"{row.scenario} and {len(others)} more" if others else row.scenario
    page.paragraph(f"{name}: {_move(row)}", _STYLES[row.change] or "bold red")
    if others:
        page.field("also", ", ".join(other.scenario for other in others))
    elif row.summary:
        page.field("tests", row.summary)
    outcome = words.tested(row)
    reason = words.why(row) if row.change is Change.UNKNOWN or outcome is None else outcome.reason
    failing = outcome is not None and any(not step.ok for step in outcome.steps)
    if reason and not (failing and outcome is not None and outcome.status is Status.FAIL):
        page.field("reason", reason)
    if outcome is not None:
        _steps(page, outcome)
    for count in splatset.tally(words.splats(row)):
        _splat(page, count.splat, _times_seen(count.splat, outcome))
    if outcome is not None:
        _end(page, outcome)
    page.line()


def _move(row: Row) -> str:
    if row.change is Change.BASE_ONLY:
        return row.base.status.value if row.base else "not run"
    base = row.base.status.value if row.base else "not run"
    patched = row.patched.status.value if row.patched else "not run"
    return f"{row.change.value} ({base} on base, {patched} on patched)"


def _steps(page: Page, outcome: Outcome) -> None:
    failing = [step for step in outcome.steps if not step.ok]
    for step in failing[:_STEPS]:
        page.field(f"step {step.index}", step.text)
        if step.expected:
            page.field("", f"expected {step.expected}")
        if step.got:
            page.field("", f"got      {step.got}")
    if len(failing) > _STEPS:
        page.field("", f"and {len(failing) - _STEPS} more failing steps, see the evidence")


def _times_seen(splat: Splat, outcome: Outcome | None) -> int:
    return sum(splatset.same(splat, each) for each in outcome.splats) if outcome else 1


def _splat(page: Page, splat: Splat, times: int) -> None:
    seen = f" ({times} times)" if times > 1 else ""
    cut = " [the report on the console is cut or interleaved]" if splat.corrupted else ""
    page.field("splat", f"{splat.title}{seen}{cut}", "red")
    if splat.frames:
        page.field("", words.trace(splat))


def _end(page: Page, outcome: Outcome) -> None:
    for fault in outcome.faults[:_FAULTS]:
        pasid = "no PASID" if fault.pasid is None else f"PASID {fault.pasid}"
        way = "write" if fault.write else "read"
        page.field("fault", f"DMA {way} by {fault.device}, {pasid}, address {fault.address:#x}, reason {fault.reason}")
    if len(outcome.faults) > _FAULTS:
        page.field("", f"and {len(outcome.faults) - _FAULTS} more DMA faults")
    for advice in outcome.advice:
        page.field("advice", advice)
    if outcome.evidence is not None:
        page.path("evidence", str(outcome.evidence))
        _replay(page, outcome.evidence)


def _replay(page: Page, evidence: Path) -> None:
    script = evidence / "replay.sh"
    if script.is_file():
        page.path("replay", f"sh {shlex.quote(str(script))}")


def _outside(page: Page, result: RunResult) -> None:
    if not result.boot_splats:
        return
    new = ", new with the series" if result.series else ""
    page.line(f"Outside of any scenario{new}:", "bold red")
    for count in splatset.tally(result.boot_splats):
        _splat(page, count.splat, count.times)
    page.line()


def _reasons(page: Page, result: RunResult) -> None:
    """Reasons of several lines, such as a compiler's, in full."""
    for reason in result.reasons:
        first, *others = clean.lines(reason)
        if others:
            page.line(first)
            for part in others:
                page.line(part if part.startswith("  ") else f"  {part}")
            page.line()


def _times(page: Page, result: RunResult) -> None:
    advised = [row for row in result.rows if (outcome := words.tested(row)) and outcome.advice]
    if advised:
        page.paragraph("Advice (our choice where nothing is prescribed; it does not count):")
        for row in advised:
            outcome = words.tested(row)
            for advice in outcome.advice if outcome else ():
                page.paragraph(f"{row.scenario}: {advice}", indent=2)
        page.line()
    parts = []
    for phase in result.phases:
        name = " ".join(part for part in (phase.name, phase.side) if part)
        parts.append(f"{name} {phase.seconds:.1f} s" + (f" ({phase.note})" if phase.note else ""))
    if parts:
        page.paragraph(f"Time: {', '.join(parts)}")
        page.line()
