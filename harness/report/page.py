"""A page of text: wrapped words, aligned fields, lines that stay in one piece."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report import View, clean


class Page:
    """Lines of the report. Every string is shown as it is: nothing in it is markup."""

    def __init__(self, view: View) -> None:
        self._sink = io.StringIO()
        self._colour = view.colour
        self.width = max(view.width, 60)
        self._console = Console(
            file=self._sink,
            width=self.width,
            force_terminal=view.colour,
            color_system="standard" if view.colour else None,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def line(self, text: str = "", style: str = "") -> None:
        """One line, however long: paths and commands must stay in one piece."""
        self._console.print(Text(clean.line(text), style), soft_wrap=True)

    def paragraph(self, text: str, style: str = "", indent: int = 0) -> None:
        """Words that may be wrapped."""
        self._console.print(Padding(Text(clean.line(text), style), (0, 0, 0, indent)))

    def field(self, name: str, text: str, style: str = "", indent: int = 2, width: int = 9) -> None:
        """A name and its wrapped text, aligned."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=width, no_wrap=True)
        grid.add_column(overflow="fold")
        for number, part in enumerate(clean.lines(text)):
            grid.add_row(Text(name if number == 0 else "", "bold"), Text(part, style))
        self._console.print(Padding(grid, (0, 0, 0, indent)))

    def count(self, number: int, text: str) -> None:
        """A number and wrapped text beside it."""
        self.field(f"{number:>4}", text, width=5, indent=0)

    def path(self, name: str, text: str, indent: int = 2) -> None:
        """A name and text that is never wrapped."""
        self.line(f"{'':{indent}}{name:<9} {text}")

    def table(self, table: Table) -> None:
        self._console.print(table)

    def text(self) -> str:
        """Everything so far; without colours, no line ends in spaces."""
        text = self._sink.getvalue()
        return text if self._colour else "\n".join(line.rstrip() for line in text.split("\n"))
