"""The report for people: aligned plain text, or colours on a terminal."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.model import Cell, Change, Outcome, Row, RunResult, Splat, Status, Verdict
from harness.report import View, clean, table, times, words
from harness.report.page import Page
from harness.verdict import compare, splatset

NAME = "text"
HELP = "a table and the details of what went wrong, for people"

_STEPS = 5  # failing steps shown of one scenario
_FAULTS = 5  # DMA faults shown of one scenario
_VERDICT_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.ERROR: "bold magenta"}


def render(result: RunResult, view: View) -> str:
    """See Format.render."""
    page = Page(view)
    _head(page, result)
    table.draw(page, result, view)
    for cell in result.cells:
        _notes(page, cell, cell.place if words.several(result) else "")
    _skips(page, result)
    for cell in result.cells:
        name = cell.place if words.several(result) else ""
        for group in words.alike(row for row in words.ordered(cell.rows) if words.needs_detail(row)):
            _detail(page, group, name)
        _outside(page, cell, result, name)
    _measured(page, result)
    _known(page, result)
    _advice(page, result)
    times.draw(page, result)
    _reasons(page, result)
    page.paragraph(f"Verdict: {words.conclusion(result)}", _VERDICT_STYLES[result.verdict])
    return page.text()


def _head(page: Page, result: RunResult) -> None:
    page.paragraph(f"{result.suite} on {words.places(result)}, over {result.channel}", "bold")
    page.field("tree", f"{result.tree.spec}, Linux {result.tree.version}, commit {result.tree.commit[:12]}")
    if result.series is not None:
        number = len(result.series.patches)
        page.field("series", f"{result.series.title} ({number} patch{'' if number == 1 else 'es'})")
    if words.several(result):
        for cell in result.cells:
            page.field("machine", f"{cell.place}: {cell.accelerator or 'none'}")
    else:
        page.field("machine", result.cells[0].accelerator)
    if (result.seed, result.stress) != (1, 1):
        page.field("races", f"seed {result.seed}, stress {result.stress}")
    page.path("evidence", str(result.run))
    page.line()


# --- below the table --------------------------------------------------------------
def _notes(page: Page, cell: Cell, name: str) -> None:
    for note in cell.notes:
        page.paragraph(f"NOTE: {f'{name}, ' * bool(name)}{note}", "bold yellow")
    if cell.notes:
        page.line()


def _skips(page: Page, result: RunResult) -> None:
    """What was skipped, and why; once for all kernels that skipped the same."""
    kernels: dict[tuple[tuple[words.Skipped, ...], int], list[str]] = {}
    for cell in result.cells:
        for side, outcomes in (
            ("base", [row.base for row in cell.rows]),
            ("patched", [row.patched for row in cell.rows]),
        ):
            if groups := words.skips(outcomes):
                name = f"{cell.place} {side}" if words.several(result) else side
                kernels.setdefault((groups, len(cell.rows)), []).append(name)
    for (groups, total), names in kernels.items():
        number = sum(len(group.scenarios) for group in groups)
        page.paragraph(f"SKIPPED on {words.listed(names)}: {number} of {total}", "bold yellow")
        for group in groups:
            page.count(len(group.scenarios), f"{group.reason}\n{', '.join(group.scenarios)}")
        page.line()


def _detail(page: Page, group: tuple[Row, ...], target: str) -> None:
    row, *others = group
    name = f"{row.scenario} and {len(others)} more" if others else row.scenario
    name += f" on {target}" if target else ""
    page.paragraph(f"{name}: {_move(row)}", table.STYLES[row.change] or "bold red")
    if others:
        page.field("also", ", ".join(other.scenario for other in others))
    elif row.summary:
        page.field("tests", row.summary)
    outcome = words.tested(row)
    reason = words.why(row) if row.change is Change.UNKNOWN or outcome is None else outcome.reason
    failing = outcome is not None and any(not step.ok for step in outcome.steps)
    if reason and not (failing and outcome is not None and outcome.status is Status.FAIL):
        page.field("reason", reason)
    if motive := words.motive(row):
        page.field("motive", motive)
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
    for place in words.own_places(splat):
        page.path("", f"  {place}")


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


def _outside(page: Page, cell: Cell, result: RunResult, name: str) -> None:
    if not cell.boot_splats:
        return
    new = ", new with the series" if result.series else ""
    page.line(f"Outside of any scenario{f' on {name}' if name else ''}{new}:", "bold red")
    for count in splatset.tally(cell.boot_splats):
        _splat(page, count.splat, count.times)
    page.line()


def _known(page: Page, result: RunResult) -> None:
    found: dict[str, int] = {}
    for cell in result.cells:
        for known in compare.known(cell):
            text = words.of_known(known)
            found[text] = found.get(text, 0) + 1
    if found:
        page.line("Known splats, which do not count:", "bold")
        for text, times in found.items():
            page.count(times, text)
        page.line()
    for note in result.notes:
        page.paragraph(f"NOTE: {note}", "bold yellow")
    if result.notes:
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


def _measured(page: Page, result: RunResult) -> None:
    telling = [row for row in result.rows if (outcome := words.tested(row)) and outcome.measured]
    if telling:
        page.paragraph("Measured:")
        for row in telling:
            outcome = words.tested(row)
            page.paragraph(f"{row.scenario}{f' on {row.place}' if words.several(result) else ''}:", indent=2)
            for each in outcome.measured if outcome else ():
                page.paragraph(words.measured(each), indent=4)
        page.line()


def _advice(page: Page, result: RunResult) -> None:
    advised = [row for row in result.rows if (outcome := words.tested(row)) and outcome.advice]
    if advised:
        page.paragraph("Advice (our choice where nothing is prescribed; it does not count):")
        for row in advised:
            outcome = words.tested(row)
            for advice in outcome.advice if outcome else ():
                target = f" on {row.place}" if words.several(result) else ""
                page.paragraph(f"{row.scenario}{target}: {advice}", indent=2)
        page.line()
