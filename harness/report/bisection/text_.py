"""The report as plain text."""

from __future__ import annotations

from rich.table import Table

from harness.campaign.bisect.order import Found
from harness.report import View, clean
from harness.report.bisection import facts
from harness.report.page import Page

_DIFF = 60  # lines of the culprit's patch that are shown
_RANGE = 20  # suspects that are listed


def render(found: Found) -> str:
    """The report, with its last line ended."""
    page = Page(View(width=100))
    order = found.order
    target, flavour = order.request.targets[0].name, order.request.flavours[0]
    page.paragraph(f"bisection of {order.test} on {target}{'' if flavour == 'base' else f' ({flavour})'}")
    page.field("older", f"{found.old.short} {found.old.subject}")
    page.field("newer", f"{found.new.short} {found.new.subject}")
    if found.signature is not None:
        page.field("bad is", str(found.signature))
    page.path("evidence", str(found.folder))
    page.line()
    _steps(page, found)
    _suspects(page, found)
    _proof(page, found)
    _numbers(page, found)
    _culprit(page, found)
    page.paragraph(found.conclusion + ".")
    return page.text()


def _steps(page: Page, found: Found) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, right in (("", True), ("commit", False), ("", False), ("runs", False), ("left", True), ("s", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "")
    table.add_column("", overflow="fold")
    for step in facts.steps(found):
        told = "; ".join(filter(None, (step.subject, step.reason, step.how)))
        left = "" if step.left is None else str(step.left)
        row = (str(step.number), step.shown, str(step.mark), step.runs, left, f"{step.seconds:.0f}", clean.line(told))
        table.add_row(*row)
    page.table(table)
    page.line()


def _suspects(page: Page, found: Found) -> None:
    suspects = found.suspects
    if found.culprit is not None or not suspects:
        return
    page.line("may be to blame:")
    for commit, chance in suspects[:_RANGE]:
        test = found.journal.tests.get(commit.id)
        why = f"  {test.mark}: {test.reason}" if test and test.reason else ""
        page.line(f"  {chance:6.1%}  {commit.short} {commit.subject}{why}")
    if len(suspects) > _RANGE:
        page.line(f"  and {len(suspects) - _RANGE} more; report.json has them all")
    page.line()


def _proof(page: Page, found: Found) -> None:
    if found.culprit is None:
        return
    page.line("proof:")
    for finding in found.findings:
        held = {True: "held", False: "DID NOT HOLD", None: "not tried"}[finding.held]
        page.line(f"  {held}: {finding.what}{f' ({finding.why})' if finding.why else ''}")
    page.line()


def _numbers(page: Page, found: Found) -> None:
    took = facts.numbers(found)
    known = f", {took.known:.0f} of them until the search was over" if took.known else ""
    page.paragraph(
        f"{took.commits} commits, {took.pruned} of them pruned because they touch nothing that the builds read;"
        f" {took.tests} tests, {took.skipped} of them skipped, {took.shared} by an image already tested, {took.kept} by"
        f" earlier results; {took.builds} kernels built, {took.runs} runs, {took.seconds:.0f} s{known}"
    )
    page.line()


def _culprit(page: Page, found: Found) -> None:
    if found.culprit is None:
        return
    lines = clean.lines(found.diff.rstrip("\n"))
    for line in lines[:_DIFF]:
        page.line(f"    {line}" if line else "")
    if len(lines) > _DIFF:
        page.line(f"    ... {len(lines) - _DIFF} more lines; git show {found.culprit.short}")
    page.line()
