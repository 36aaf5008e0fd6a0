"""One module per report format of a run, found by being here.

A module of this package that has NAME and ``render()`` is a format; see ``Format``. What reports on something else
than a run is a package of its own below this one.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO, cast

from harness.errors import InfraError, UserError
from harness.model import RunResult


@dataclass(frozen=True)
class View:
    """How the reader looks at the report; formats for programs ignore it."""

    width: int = 80  # columns
    colour: bool = False  # a terminal that shows colours
    verbose: bool = False  # list also what nobody needs to act on


class Format(Protocol):
    """What a module of this package has when it is a format."""

    NAME: str  # as in --report NAME=FILE
    HELP: str  # one line

    def render(self, result: RunResult, view: View) -> str:
        """The report, with its last line ended. Whatever the guest printed, it holds no control characters."""


def formats() -> tuple[str, ...]:
    """Names of the known formats."""
    return tuple(sorted(_modules()))


def render(form: str, result: RunResult, view: View | None = None) -> str:
    """The report as text. Raises UserError when there is no such format."""
    return _module(form).render(result, view or View())


def write(form: str, result: RunResult, file: Path | None, *, verbose: bool = False) -> None:
    """Write a report to ``file``, or to standard output when it is None.

    Raises UserError when there is no such format, InfraError when the file cannot be written.
    """
    if file is None:
        encoding = sys.stdout.encoding or "utf-8"
        text = render(form, result, _view_of(sys.stdout, verbose))
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
        return
    text = render(form, result, View(verbose=verbose))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InfraError(f"the {form} report cannot be written: {error}", "name another file") from error


def parse_request(text: str) -> tuple[str, Path | None]:
    """``json=r.json`` as (format, file); without a file, standard output.

    Raises UserError when the format is not known or the file's name is empty.
    """
    name, separator, file = text.partition("=")
    _module(name)
    if separator and not file:
        raise UserError(f"--report {text}: the file is missing", f"say {name}=FILE, or {name} for standard output")
    return name, Path(file) if file and file != "-" else None


def _view_of(stream: TextIO, verbose: bool) -> View:
    colour = stream.isatty()
    return View(shutil.get_terminal_size((80, 24)).columns if colour else 80, colour, verbose)


def _module(name: str) -> Format:
    modules = _modules()
    if name not in modules:
        raise UserError(f"there is no report format {name!r}", f"known: {', '.join(sorted(modules))}")
    return modules[name]


def _modules() -> dict[str, Format]:
    names = (each.name for each in pkgutil.iter_modules(__path__) if not each.ispkg)
    found = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return {module.NAME: cast(Format, module) for module in found if hasattr(module, "NAME")}
