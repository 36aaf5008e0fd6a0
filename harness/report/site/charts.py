"""Charts as SVG, with words for those who do not see them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report import clean

WIDTH = 900.0  # pixels of every picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 8.0, 10.0, 24.0  # margins
_TICKS = 8  # words below a row of columns


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: float  # pixels
    y: float
    width: float
    height: float
    kind: str  # class of the style sheet: good, bad, skip, error, soft
    title: str


@dataclass(frozen=True)
class Word:
    """A short text."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Picture:
    """What is drawn, and what is said to those who do not see it."""

    label: str
    height: float
    boxes: tuple[Box, ...]
    words: tuple[Word, ...]
    lines: tuple[float, ...] = ()  # y of horizontal lines

    @property
    def svg(self) -> Markup:
        """Drawn without a template: there are a hundred thousand boxes."""
        parts = [f'<svg viewBox="0 0 {WIDTH:.0f} {self.height:.0f}" role="img" aria-label="{_text(self.label)}">\n']
        parts += [f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>\n' for y in self.lines]
        for box in self.boxes:
            place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
            parts.append(f'<rect class="{box.kind}" {place}><title>{_text(box.title)}</title></rect>\n')
        for word in self.words:
            anchor = "" if word.anchor == "start" else f' text-anchor="{word.anchor}"'
            parts.append(f'<text x="{word.x:.1f}" y="{word.y:.1f}"{anchor}>{_text(word.text)}</text>\n')
        return Markup("".join([*parts, "</svg>"]))


def _text(words: str) -> str:
    return html.escape(clean.line(words))


@dataclass(frozen=True)
class Column:
    """One column of parts, from below."""

    name: str  # below it
    parts: tuple[tuple[str, float, str], ...]  # kind, value, title


def columns(label: str, found: Sequence[Column], unit: str = "", height: float = 150.0) -> Picture | None:
    """Columns side by side, their parts on top of each other; None when there is nothing to show."""
    most = max((sum(value for _, value, _ in column.parts) for column in found), default=0.0)
    if most <= 0:
        return None
    step = (WIDTH - _LEFT - _RIGHT) / len(found)
    width = min(step * 0.8, 28.0)
    scale = (height - _TOP - _BOTTOM) / most
    boxes = []
    for number, column in enumerate(found):
        bottom = height - _BOTTOM
        for kind, value, title in column.parts:
            if value > 0:
                bottom -= value * scale
                boxes.append(Box(_LEFT + step * number, bottom, width, value * scale, kind, title))
    every = -(-len(found) // _TICKS)
    words = [Word(_LEFT + step * at, height - 6, found[at].name) for at in range(0, len(found), every)]
    words += [Word(_LEFT - 6, _TOP + 8, amount(most, unit), "end"), Word(_LEFT - 6, height - _BOTTOM, "0", "end")]
    return Picture(label, height, tuple(boxes), tuple(words), (_TOP, height - _BOTTOM))


@dataclass(frozen=True)
class Bar:
    """One line of a chart of bars."""

    name: str
    start: float  # seconds
    length: float
    kind: str
    title: str


def bars(label: str, found: Sequence[Bar]) -> Picture | None:
    """Bars below each other, from left to right along time; None when there is nothing to show."""
    end = max((bar.start + bar.length for bar in found), default=0.0)
    if end <= 0:
        return None
    left, row = 260.0, 20.0
    scale = (WIDTH - left - 70) / end
    boxes, words = [], []
    for number, bar in enumerate(found):
        y = _TOP + row * number
        x, width = left + bar.start * scale, max(bar.length * scale, 1.0)
        boxes.append(Box(x, y, width, row - 5, bar.kind, bar.title))
        name = bar.name if len(bar.name) <= 32 else bar.name[:31] + "…"
        words += [Word(left - 8, y + 12, name, "end"), Word(x + width + 5, y + 12, amount(bar.length, "s"))]
    return Picture(label, _TOP + row * len(found) + 6, tuple(boxes), tuple(words))


def amount(value: float, unit: str) -> str:
    """A number as people read it: seconds as minutes or hours when there are many."""
    if unit == "s":
        if value >= 5400:
            return f"{value / 3600:.1f} h"
        if value >= 90:
            return f"{value / 60:.1f} min"
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value:.0f}{unit}"
