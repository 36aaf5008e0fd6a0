"""The report of a bisection over options: text and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table

from harness.campaign.bisect.configs import ConfigFound
from harness.report import View, clean
from harness.report.page import Page

TEXT = "report.txt"
_LISTED = 40  # options; report.json has however many there are


def files(found: ConfigFound) -> Mapping[str, str]:
    """File name -> content of all that is left in the folder of the bisection."""
    return {TEXT: _text(found), "report.json": json.dumps(_document(found), indent=1) + "\n"}


def _text(found: ConfigFound) -> str:
    page = Page(View(width=100))
    page.paragraph(f"bisection of options, {found.order.test} on {found.order.request.targets[0].name}")
    page.field("tree", found.order.request.tree)
    if found.signature is not None:
        page.field("bad is", str(found.signature))
    page.path("evidence", str(found.folder))
    page.line()
    for place, option in enumerate(found.differ[:_LISTED]):
        page.line(f"  {place} {clean.line(str(option))}")
    if len(found.differ) > _LISTED:
        page.line(f"  and {len(found.differ) - _LISTED} more, in report.json")
    page.line()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, test in enumerate(found.tests, 1):
        table.add_row(str(number), test.name, str(test.mark), f"{test.seconds:.0f} s", clean.line(test.reason))
    page.table(table)
    page.line()
    for option in found.culprits:
        page.line(f"  {option}")
    for finding in found.journal.findings.values():
        held = {True: "held", False: "DID NOT HOLD", None: "not tried"}[finding.held]
        page.line(f"  {held}: {finding.what}{f' ({clean.line(finding.why)})' if finding.why else ''}")
    page.line()
    counted = f"{len(found.differ)} options differ; {len(found.tests)} tests, {found.builds} kernels built"
    page.paragraph(f"{counted}, {found.seconds:.0f} s")
    page.paragraph(f"{found.conclusion}.")
    return page.text()


def _document(found: ConfigFound) -> dict[str, object]:
    return {
        "schema": 1,
        "folder": str(found.folder),
        "tree": found.order.request.tree,
        "target": found.order.request.targets[0].name,
        "scenario": found.order.test,
        "proved": found.proved,
        "conclusion": clean.whole(found.conclusion),
        "signature": str(found.signature) if found.signature else None,
        "options": [asdict(option) for option in found.culprits],
        "differ": [asdict(option) for option in found.differ],
        "proof": [asdict(finding) for finding in found.journal.findings.values()],
        "tests": [{"name": test.name, "mark": str(test.mark), "reason": test.reason} for test in found.tests],
        "builds": found.builds,
        "seconds": round(found.seconds, 1),
    }
