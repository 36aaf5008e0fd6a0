"""Numbers and sentences as the table has them. Pure."""

from __future__ import annotations

import math

from benchmarks.model import Limit, Unit


def number(value: float, unit: Unit) -> str:
    """``value`` with the digits that mean something, and its unit."""
    if not math.isfinite(value):
        return "?"
    if unit is Unit.BYTES:
        return _bytes(value)
    if unit is Unit.TIMES:
        return f"{value:.2f} x" if value < 10 else f"{value:.0f} x"
    text = f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{text} {unit.value}".strip()


def limit(held: Limit | None, unit: Unit) -> str:
    """The limit with its sign; empty when there is none."""
    if held is None:
        return ""
    text = _bytes(held.value) if unit is Unit.BYTES else f"{held.value:g} {unit.value}"
    return f"{'≥' if held.at_least else '≤'} {text.strip()}"


def cell(text: str) -> str:
    """``text`` as a cell of a Markdown table: one line, its bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def _bytes(value: float) -> str:
    for bound, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= bound:
            return f"{value / bound:.1f} {name}"
    return f"{value:.0f} B"
