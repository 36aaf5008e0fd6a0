"""The report as one HTML page without scripts: the path walked as a picture and as a table, the culprit, the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from harness.campaign.bisect.order import Found
from harness.campaign.bisect.signature import Mark
from harness.report import clean
from harness.report.bisection import facts

_WIDTH, _ROW, _MARGIN = 900.0, 26.0, 40.0  # pixels of the picture
_DIFF = 400  # lines of the patch that are shown
_SIGNS = {Mark.GOOD: "✓", Mark.BAD: "✗", Mark.SKIP: "○", Mark.UNKNOWN: "?"}  # told apart without colours


@dataclass(frozen=True)
class Row:
    """A test in the picture: where it was made, and the part of the history that it left."""

    number: int
    y: float  # pixels
    x: float
    left: float  # of the bar
    width: float
    mark: str
    sign: str
    title: str


def render(found: Found) -> str:
    """The page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["clean"] = clean.line
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text())
    steps = facts.steps(found)
    rows = tuple(_rows(found, steps))
    diff = tuple(clean.line(line) for line in found.diff.rstrip("\n").split("\n")) if found.diff else ()
    return template.render(
        found=found,
        order=found.order,
        target=found.order.request.targets[0].name,
        flavour=found.order.request.flavours[0],
        steps=steps,
        rows=rows,
        signs=_SIGNS,
        numbers=facts.numbers(found),
        findings=found.findings,
        suspects=found.suspects[:100],
        diff=diff[:_DIFF],
        cut=max(0, len(diff) - _DIFF),
        places=len(found.search.graph.nodes) if found.search else 0,
        width=_WIDTH,
        height=_MARGIN + _ROW * (len(rows) + 1),
        margin=_MARGIN,
    )


def _rows(found: Found, steps: tuple[facts.Step, ...]) -> Iterator[Row]:
    """The tests that the search is made of, from top to bottom."""
    if found.search is None or not found.search.graph.nodes:
        return
    scale = (_WIDTH - 2 * _MARGIN) / len(found.search.graph.nodes)
    for step in steps:
        if step.at is None or step.left is None:
            continue
        number = sum(1 for each in steps if each.at is not None and each.number <= step.number)
        yield Row(
            step.number,
            _MARGIN + _ROW * number,
            _MARGIN + scale * (step.at + 0.5),
            _MARGIN + scale * step.first,
            scale * (step.last - step.first + 1) if step.left else 0.0,
            str(step.mark),
            _SIGNS[step.mark],
            f"{step.number}: {step.shown} is {step.mark}, {step.left} left",
        )
